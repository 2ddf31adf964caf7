"""Wake-ups: coalesced, and none for a run that is awake."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from flask import Flask
from redis import Redis

from tests.conftest import MakeEngine, Workspace
from tests.free_ports import free_port
from tests.jobs.scheduled import scheduled_jobs
from tests.patience import PATIENT_WAKE_LIMITS
from tests.receivers import Receiver
from tests.waiting import wait_for
from webhooks_app.config import Settings
from webhooks_app.core import ids
from webhooks_app.jobs import wake_ups as wake_ups_module
from webhooks_app.jobs.listener_messages import QUEUES_KEY
from webhooks_app.jobs.wake_flag import AWAKE_KEY, FLAG_KEY, MOST_NAMED, WakeRequest
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine_limits import EngineLimits

SOME = ids.several("ep", MOST_NAMED + 1)

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_thousand_failures_of_one_second_make_one_scheduled_job(wake_ups: WakeUps, redis_url: str) -> None:
    moment = datetime(2030, 1, 1, 12, 0, 0, 200_000, tzinfo=UTC)

    wake_ups.schedule_wake_ups([moment + timedelta(milliseconds=offset % 700) for offset in range(1000)])

    assert scheduled_jobs(redis_url) == [
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
            wake_ups.keep_awake()  # as a run does at each step
            wake_ups.wake_worker()
            wait_for(wake_ups.take_request)
        assert redis.llen("rq:queue:deliveries") == 0
        wake_ups.wake_worker()
        wake_ups.end_run(expects_more=False)
        assert redis.llen("rq:queue:deliveries") == 1
        wake_ups.start_run()
        wake_ups.end_run(expects_more=False)
        assert redis.llen("rq:queue:deliveries") == 1


def test_a_run_is_awake_and_has_looked_at_the_flag_from_its_start_until_it_ends(
    wake_ups: WakeUps, settings: Settings
) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        wake_ups.wake_worker()
        wake_ups.start_run()
        assert redis.exists(AWAKE_KEY)
        assert not redis.exists(FLAG_KEY)
        wait_for(lambda: wake_ups.waiter.is_listening)
        wake_ups.end_run(expects_more=False)
        assert not redis.exists(AWAKE_KEY)
        assert not wake_ups.waiter.is_listening


def test_a_run_is_marked_as_awake_anew_before_the_mark_expires_and_not_at_each_step(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake_ups = WakeUps(settings.redis_url, limits=replace(PATIENT_WAKE_LIMITS, awake_seconds=600))
    now = [1000.0]
    monkeypatch.setattr(wake_ups_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with Redis.from_url(settings.redis_url) as redis:

        def marks(moment: float) -> bool:
            now[0] = moment
            redis.delete(AWAKE_KEY)
            wake_ups.keep_awake()
            return bool(redis.exists(AWAKE_KEY))

        assert [marks(each) for each in (1000.0, 1299.0, 1301.0, 1600.0, 1602.0)] == [
            *(True, False, True),
            *(False, True),
        ]


def test_steady_traffic_leaves_no_jobs_behind(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, settings: Settings
) -> None:
    # A busy machine makes gaps in the traffic, at which no run may end: what comes then needs jobs.
    engine = make_engine(limits=EngineLimits(linger_seconds=60, stop_grace_seconds=30))
    workspace.endpoint(receiver.url)
    workspace.send()
    is_over = threading.Event()
    running = threading.Thread(target=engine.run, kwargs={"seconds": 300, "should_stop": is_over.is_set})
    running.start()
    for _ in range(40):
        workspace.send()
        time.sleep(0.02)
    wait_for(lambda: len(receiver.received) == 41)
    is_over.set()
    running.join()

    with Redis.from_url(settings.redis_url) as redis:
        assert redis.llen("rq:queue:deliveries") <= 2


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([[SOME[0]], [SOME[1], SOME[0]]], set(SOME[:2])),
        ([[each] for each in SOME[:MOST_NAMED]], set(SOME[:MOST_NAMED])),
        ([[SOME[0]], []], set()),
        ([[SOME[0]], SOME], set()),
        ([[each] for each in SOME], set()),
    ],
    ids=["few", "so many", "whatever is due", "too many at once", "too many in all"],
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


def test_wake_ups_go_on_where_something_else_is_under_the_key_of_the_listeners(
    wake_ups: WakeUps, settings: Settings
) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        redis.set(QUEUES_KEY, "foreign")
        assert wake_ups.wake_worker(SOME[:1], listener_ids=["ep_1"])
        assert wake_ups.notify_listeners(["ep_1"])
        assert redis.llen("rq:queue:deliveries") == 1
    assert wake_ups.known_problem() is None


def test_a_run_that_listens_asks_now_and_then_though_it_was_not_told(
    wake_ups: WakeUps, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(wake_ups_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    wake_ups.start_run()
    wait_for(lambda: wake_ups.waiter.is_listening)
    assert wake_ups.take_request() is None
    with Redis.from_url(settings.redis_url) as redis:
        redis.set("webhooks:wake", 1)
        now[0] += 0.09
        assert wake_ups.take_request() is None
        now[0] += 0.02
        assert wake_ups.take_request() == WakeRequest()
    wake_ups.end_run(expects_more=False)


def test_another_worker_is_called_once_a_second_while_none_is_to_come(
    wake_ups: WakeUps, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(wake_ups_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with Redis.from_url(settings.redis_url) as redis:
        counts = []
        for moment in (1000.0, 1000.9, 1001.1, 1002.2):
            now[0] = moment
            wake_ups.call_another_worker()
            counts.append(redis.llen("rq:queue:deliveries"))
            if moment < 1001:
                redis.delete("rq:queue:deliveries")
    assert counts == [1, 0, 1, 1]


def test_mail_and_recoveries_are_jobs_of_their_own(wake_ups: WakeUps, settings: Settings) -> None:
    assert wake_ups.enqueue_mail()
    assert wake_ups.enqueue_recovery()
    assert wake_ups.redis_problem() is None
    with Redis.from_url(settings.redis_url) as redis:
        assert redis.llen("rq:queue:deliveries") == 2


def test_a_redis_that_is_away_is_a_known_problem_once_it_was_needed() -> None:
    wake_ups = WakeUps(f"redis://127.0.0.1:{free_port()}")
    assert wake_ups.known_problem() is None
    assert not wake_ups.enqueue_recovery()
    assert not wake_ups.enqueue_mail()
    assert wake_ups.known_problem() is not None


def test_each_second_has_a_scheduled_job_of_its_own(wake_ups: WakeUps, redis_url: str) -> None:
    first = datetime(2030, 1, 1, tzinfo=UTC)
    moments = [first + timedelta(seconds=number) for number in range(101)]
    wake_ups.schedule_wake_ups(moments)
    assert [at for _, at in scheduled_jobs(redis_url)] == moments
