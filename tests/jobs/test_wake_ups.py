"""Wake-ups: coalesced, and none for a run that is awake."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from redis import Redis

from tests.conftest import Workspace, wait_for
from tests.receivers import Receiver
from webhooks_app.config import Settings
from webhooks_app.core import ids
from webhooks_app.jobs.wake_flag import MOST_NAMED, WakeRequest
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

SOME = ids.several("ep", MOST_NAMED + 1)

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_thousand_failures_of_one_second_make_one_scheduled_job(wake_ups: WakeUps, app: Flask) -> None:
    moment = datetime(2030, 1, 1, 12, 0, 0, 200_000, tzinfo=UTC)

    wake_ups.schedule_wake_ups([moment + timedelta(milliseconds=offset % 700) for offset in range(1000)])

    assert wake_ups.scheduled_jobs() == [
        (f"due-{int(moment.timestamp()) + 1}", datetime(2030, 1, 1, 12, 0, 1, tzinfo=UTC))
    ]


def test_wake_ups_are_coalesced(wake_ups: WakeUps, settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        for _ in range(100):
            wake_ups.wake_worker()
        assert redis.llen("rq:queue:deliveries") == 1
        assert wake_ups.take_request()
        assert not wake_ups.take_request()


def test_a_run_that_is_awake_needs_no_job_until_it_ends(wake_ups: WakeUps, settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        wake_ups.start_run()
        for _ in range(100):
            wake_ups.wake_worker()
            wait_for(wake_ups.take_request)
        assert redis.llen("rq:queue:deliveries") == 0
        wake_ups.wake_worker()
        wake_ups.end_run(expects_more=False)
        assert redis.llen("rq:queue:deliveries") == 1
        wake_ups.start_run()
        wake_ups.end_run(expects_more=False)
        assert redis.llen("rq:queue:deliveries") == 1


def test_steady_traffic_leaves_no_jobs_behind(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, settings: Settings
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    running = threading.Thread(target=engine.run, kwargs={"seconds": 20})
    running.start()
    for _ in range(40):
        workspace.send()
        time.sleep(0.02)
    running.join()
    engine.run(seconds=30)  # on a busy machine the traffic is not steady enough for one run to see all of it

    assert len(receiver.received) == 41
    with Redis.from_url(settings.redis_url) as redis:
        assert redis.llen("rq:queue:deliveries") <= 2


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([[SOME[0]], [SOME[1], SOME[0]]], set(SOME[:2])),
        ([[SOME[0]], []], set()),
        ([[SOME[0]], SOME], set()),
        ([[each] for each in SOME], set()),
    ],
    ids=["few", "whatever is due", "too many at once", "too many in all"],
)
def test_a_request_names_the_endpoints_of_all_wake_ups_that_it_stands_for(
    wake_ups: WakeUps, named: list[list[str]], expected: set[str]
) -> None:
    for endpoint_ids in named:
        wake_ups.wake_worker(endpoint_ids)
    assert wake_ups.take_request() == WakeRequest(frozenset(expected))
    assert wake_ups.take_request() is None


@pytest.mark.parametrize("foreign", [b"\xff\xfe", b'ep_"\x00', b"ep_1"])
def test_a_name_that_is_no_endpoints_has_all_looked_at(
    wake_ups: WakeUps, settings: Settings, foreign: bytes
) -> None:
    wake_ups.wake_worker(SOME[:1])
    with Redis.from_url(settings.redis_url) as redis:
        redis.sadd("webhooks:named", foreign)
    assert wake_ups.take_request() == WakeRequest()
    wake_ups.wake_worker(SOME[:1])
    assert wake_ups.take_request() == WakeRequest(frozenset(SOME[:1]))


def test_wake_ups_go_on_where_something_else_is_under_the_key_of_the_names(
    wake_ups: WakeUps, settings: Settings
) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        redis.set("webhooks:named", "foreign")
        assert wake_ups.wake_worker(SOME[:1])
        assert redis.llen("rq:queue:deliveries") == 1
        assert redis.type("webhooks:named") == b"none"
        redis.set("webhooks:named", "foreign")
        assert wake_ups.take_request() == WakeRequest()
        assert wake_ups.wake_worker(SOME[:1])
    assert wake_ups.take_request() == WakeRequest(frozenset(SOME[:1]))
    assert wake_ups.known_problem() is None
