"""What this platform had no means left to send: nothing is blamed, nothing is counted, it is sent soon."""

import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import MakeEngine, Workspace
from tests.jobs.scheduled import scheduled_jobs
from tests.receivers import Receiver
from tests.worker.attempted import TIMED_OUT, URL, attempts, claim, deliveries, finished, queued
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, EndpointHealth, PendingDelivery
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine_limits import DEFAULT_LIMITS, PostponeLimits
from webhooks_app.worker.postponed import PostponedDeliveries

pytestmark = pytest.mark.usefixtures("queue_matches_states")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SHORTAGE = Outcome(OutcomeClass.PLATFORM, detail="No port is left.")
SOON = PostponeLimits(delay_seconds=0.0, rest_seconds=0.0)


@pytest.fixture
def shortage(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Have so many look-ups find no descriptor left; the names that were looked up."""
    ask: Any = socket.getaddrinfo

    def make(count: int) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: bytes, *args: Any, **options: Any) -> Any:
            if host != b"localhost":
                return ask(host, *args, **options)
            asked.append(host.decode())
            if len(asked) <= count:
                raise OSError(errno.EMFILE, "Too many open files")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return make


def test_a_delivery_that_could_not_be_sent_is_sent_soon_and_nothing_is_counted(
    workspace: Workspace,
    receiver: Receiver,
    make_engine: MakeEngine,
    shortage: Callable[[int], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = shortage(3)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(1)
    engine = make_engine(limits=replace(DEFAULT_LIMITS, postpone=SOON))
    with caplog.at_level(logging.WARNING, logger="webhooks_app.worker.postponed"):
        for _ in range(4):  # each is woken for what falls due again
            engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count, len(receiver.received)) == (DeliveryState.DELIVERED, 1, 1)
    assert [each.outcome for each in attempts()] == ["success"]
    assert len(asked) >= 4
    assert [record.message for record in caplog.records] == ["out_of_resources"]
    [health] = db.session.query(EndpointHealth)
    assert (health.last_failure_at, health.failure_count) == (None, 0)


def test_meanwhile_it_is_pending_and_no_attempt_is_recorded(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, shortage: Callable[[int], list[str]]
) -> None:
    shortage(1000)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(3)
    make_engine().run(seconds=60)

    assert {(each.state, each.attempt_count) for each in deliveries()} == {(DeliveryState.PENDING, 0)}
    assert (attempts(), len(queued())) == ([], 3)


@on_sqlite
def test_what_cannot_be_sent_for_long_is_recorded_as_an_attempt(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, shortage: Callable[[int], list[str]]
) -> None:
    shortage(1000)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(1)
    engine = make_engine(limits=replace(DEFAULT_LIMITS, postpone=replace(SOON, most_times=3)))
    for _ in range(4):
        engine.run(seconds=60)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.generation) == ("platform", 4)
    assert "could not look up localhost" in (attempt.detail or "")
    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.PENDING, 1)


@on_sqlite
def test_while_means_are_short_nothing_more_is_claimed(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, shortage: Callable[[int], list[str]]
) -> None:
    shortage(1000)
    workspace.endpoint(receiver.url.replace("127.0.0.1", "localhost"))
    workspace.send(100)
    limits = replace(DEFAULT_LIMITS, postpone=replace(SOON, rest_seconds=600.0))
    turns = iter(range(20))
    result = make_engine(limits=limits).run(seconds=60, should_stop=lambda: next(turns, None) is None)
    assert 0 < result.claimed < 100


def test_what_went_out_meanwhile_is_postponed_as_often_as_before(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    one, other = claim(database, 2)
    postponed = PostponedDeliveries(database, wake_ups, replace(SOON, most_times=2))
    for _ in range(2):
        assert [postponed.take(finished(one, SHORTAGE)) for _ in range(2)] == [True, True]
        assert not postponed.take(finished(other, TIMED_OUT))
        assert not postponed.take(finished(one, TIMED_OUT))
    assert [postponed.take(finished(one, SHORTAGE)) for _ in range(4)] == [True, True, False, True]


@on_sqlite
def test_of_too_many_at_once_none_is_remembered(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    postponed = PostponedDeliveries(database, wake_ups, replace(SOON, most_times=1, remembered_deliveries=1))
    one, other = (finished(each, SHORTAGE) for each in claim(database, 2))
    assert [postponed.take(each) for each in (one, other, one, one)] == [True, True, True, False]


def test_what_is_released_is_due_after_the_delay_and_a_worker_is_woken_for_it(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, redis_url: str
) -> None:
    workspace.endpoint(URL)
    workspace.send(1)
    [claimed] = claim(database)
    postponed = PostponedDeliveries(database, wake_ups, PostponeLimits(delay_seconds=600.0))
    assert postponed.take(finished(claimed, SHORTAGE))
    before = clock.now()
    postponed.release()
    db.session.rollback()
    due_at = db.session.scalars(select(PendingDelivery.next_attempt_at)).one()
    assert before + timedelta(seconds=600) <= due_at <= clock.now() + timedelta(seconds=600)
    [(_, woken_at)] = scheduled_jobs(redis_url)
    assert timedelta(0) <= woken_at - due_at < timedelta(seconds=1)
    assert postponed.drop() == []
