"""Writing outcomes when something about them is odd, on both databases."""

import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError

from tests.conftest import Workspace
from tests.jobs.scheduled import scheduled_jobs
from tests.raising import raising
from tests.worker.attempted import (
    DELIVERED,
    LEASE,
    TIMED_OUT,
    URL,
    attempted,
    attempts,
    claim,
    finished,
    queued,
)
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import RollingUpgrade
from webhooks_app.db.rolling_upgrades import PACKED_HEADS
from webhooks_app.jobs.wake_ups import JobTimeout, WakeUps
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.tracing import AcceptedEvent, AttemptSpan, ClaimSpan, Interval
from webhooks_app.worker import outcome_buffer
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.database_backoff import DatabaseBackoff
from webhooks_app.worker.engine_limits import BackoffLimits, BufferLimits
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.recording import record


@pytest.mark.parametrize(("expired_leases", "is_written"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_suspects_outcome_is_written_at_once(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    expired_leases: int,
    is_written: bool,
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    [claimed] = claim(database)
    claimed.expired_leases = expired_leases
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits(oldest_seconds=60))

    buffer.add(finished(claimed, TIMED_OUT))
    buffer.write_if_due(expects_more=True)

    assert (len(attempts()) == 1) is is_written
    assert bool(buffer) is not is_written


@pytest.mark.parametrize(
    ("largest", "oldest_seconds", "expects_more", "is_written"),
    [
        (3, 60, True, False),
        (2, 60, True, True),
        (1, 60, True, True),
        (3, 0, True, True),
        (3, 60, False, True),
    ],
)
def test_outcomes_are_written_when_they_are_many_or_old_or_no_more_come(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    largest: int,
    oldest_seconds: float,
    expects_more: bool,
    is_written: bool,
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    limits = BufferLimits(largest=largest, oldest_seconds=oldest_seconds)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=limits)
    some = claim(database, 2)
    for each in some:
        buffer.add(finished(each, DELIVERED))

    buffer.write_if_due(expects_more=expects_more)

    assert bool(buffer) is not is_written
    assert buffer.unwritten == ([] if is_written else [each.key for each in some])
    assert buffer.recorded == len(attempts()) == (2 if is_written else 0)


def test_outcomes_are_as_old_as_the_oldest(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    first, second, third = (finished(each, DELIVERED) for each in claim(database, 3))
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits(oldest_seconds=10))
    now = 1000.0
    monkeypatch.setattr(outcome_buffer, "time", SimpleNamespace(monotonic=lambda: now))

    assert buffer.seconds_left == math.inf
    buffer.add(first)
    now += 9
    buffer.add(second)
    buffer.write_if_due(expects_more=True)
    assert buffer.recorded == 0
    assert buffer.seconds_left == 1
    now += 1
    assert buffer.seconds_left == 0
    buffer.write_if_due(expects_more=True)
    assert buffer.recorded == 2

    now += 3600
    buffer.add(third)
    buffer.write_if_due(expects_more=True)
    assert buffer.recorded == 2


def test_outcomes_outlast_an_outage_and_are_dropped_with_their_leases(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the deliveries are then due again. Each new try says that an earlier one may have written."""
    workspace.endpoint(URL)
    workspace.send(4)
    early, lost, younger, later = (finished(each, DELIVERED) for each in claim(database, 4))
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    now, is_away = 1000.0, True
    retries: list[bool] = []

    def record_unless_away(*arguments: Any, is_retry: bool, **options: Any) -> list[datetime]:
        retries.append(is_retry)
        if is_away:
            raise OperationalError("INSERT", None, Exception("gone"))
        return record(*arguments, is_retry=is_retry, **options)

    monkeypatch.setattr(outcome_buffer, "record", record_unless_away)
    monkeypatch.setattr(outcome_buffer, "time", SimpleNamespace(monotonic=lambda: now))

    buffer.add(early)
    for _ in range(2):
        with pytest.raises(OperationalError):
            buffer.write()
        now += LEASE.total_seconds()
    assert buffer

    now -= LEASE.total_seconds()  # to the very moment at which its lease ends
    is_away = False
    buffer.write()
    assert (bool(buffer), buffer.recorded, retries) == (False, 1, [False, True, True])
    assert "outcomes_lost" not in caplog.messages

    is_away = True
    buffer.add(lost)
    now += 1
    buffer.add(younger)
    now += LEASE.total_seconds()
    with pytest.raises(OperationalError):
        buffer.write()
    assert buffer.unwritten == [younger.key]

    is_away = False
    buffer.add(later)
    buffer.write()
    assert buffer.recorded == 3
    recorded = {attempt.delivery_id for attempt in attempts()}
    assert recorded == {each.delivery_id for each in (early, younger, later)}
    assert retries[3] is False


@pytest.mark.parametrize("is_one_refused", [False, True])
def test_retries_are_scheduled_once_they_are_recorded(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    redis_url: str,
    is_one_refused: bool,
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    some = claim(database, 3)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    now = clock.now()
    for index, each in enumerate(some):
        headers = "\udcff" if is_one_refused and index == 1 else "[]"
        at = now + timedelta(minutes=index)
        buffer.add(attempted(each, TIMED_OUT, at=at, delays=(600.0,) * 9, headers=headers))

    buffer.write()

    expected = [some[0], some[2]] if is_one_refused else some
    due = [each.decision.next_attempt_at for each in expected]
    scheduled = [moment for _, moment in scheduled_jobs(redis_url)]
    assert [round_up(moment) for moment in due if moment] == scheduled


def test_what_was_recorded_as_a_jobs_time_ended_is_not_recorded_again(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    buffer.add(attempted(claim(database, 1)[0], TIMED_OUT, at=clock.now(), delays=(600.0,) * 9))

    def record_and_end(*arguments: Any, **options: Any) -> list[datetime]:
        record(*arguments, **options)
        raise JobTimeout

    with monkeypatch.context() as patched:
        patched.setattr(outcome_buffer, "record", record_and_end)
        with pytest.raises(JobTimeout):
            buffer.write()
    buffer.write()
    assert (bool(buffer), len(attempts()), caplog.records) == (False, 1, [])


def round_up(moment: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)


def test_an_outcome_that_the_database_refuses_takes_no_other_along(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    first, odd, last = claim(database, 3)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    buffer.add(finished(first, DELIVERED))
    buffer.add(finished(odd, DELIVERED, headers="\udcff"))  # no text of any encoding
    buffer.add(finished(last, TIMED_OUT))

    buffer.write()

    assert not buffer
    assert buffer.recorded == 2
    assert {attempt.delivery_id for attempt in attempts()} == {first.delivery_id, last.delivery_id}
    assert queued() == {odd.delivery_id, last.delivery_id}


def test_an_outage_while_outcomes_are_written_one_by_one_loses_none(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    first, odd, last = claim(database, 3)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    buffer.add(finished(first, DELIVERED))
    buffer.add(finished(odd, DELIVERED, headers="\udcff"))
    buffer.add(finished(last, DELIVERED))
    is_away = True

    def record_unless_away(database: WriteDatabase, some: list[ClaimedDelivery], **options: Any) -> Any:
        if is_away and len(some) == 1:
            raise OperationalError("INSERT", None, Exception("gone"))
        return record(database, some, **options)

    monkeypatch.setattr(outcome_buffer, "record", record_unless_away)
    with pytest.raises(OperationalError):
        buffer.write()
    assert buffer.unwritten == [first.key, odd.key, last.key]
    is_away = False
    buffer.write()
    assert {attempt.delivery_id for attempt in attempts()} == {first.delivery_id, last.delivery_id}


class NotedSpans:
    """A tracer that keeps what it is told."""

    def __init__(self) -> None:
        self.attempts: list[AttemptSpan] = []

    def accepted(self, events: Sequence[AcceptedEvent]) -> None:
        raise AssertionError(events)

    def claimed(self, deliveries: Sequence[ClaimSpan], took: Interval) -> None:
        raise AssertionError(deliveries, took)

    def attempted(self, attempts: Sequence[AttemptSpan]) -> None:
        self.attempts += attempts

    def close(self) -> None: ...


def test_what_is_recorded_is_counted_traced_and_logged_in_detail(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint_id = workspace.endpoint(URL)
    [event_id] = workspace.send()
    [claimed] = claim(database)
    counters, spans = ProcessCounters(), NotedSpans()
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits(), counters=counters)
    buffer.tracer = spans
    buffer.add(finished(claimed, DELIVERED))

    with caplog.at_level(logging.DEBUG, logger=outcome_buffer.log.name):
        buffer.write()

    assert counters.snapshot()["attempts\tsuccess"] == 1
    assert [each.delivery_id for each in spans.attempts] == [claimed.delivery_id]
    [logged] = [each.__dict__ for each in caplog.records if each.message == "attempted"]
    assert {name: logged[name] for name in ("delivery_id", "event_id", "endpoint_id", "attempt")} == {
        "delivery_id": claimed.delivery_id,
        "event_id": event_id,
        "endpoint_id": endpoint_id,
        "attempt": 1,
    }
    assert (logged["outcome"], logged["status"], logged["state"]) == ("success", 200, "delivered")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("sqlstate", ["25006", "40P01", "53100", "57P01"])
def test_outcomes_are_kept_whatever_class_the_driver_gives_the_error(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, sqlstate: str
) -> None:
    """A read-only database is no OperationalError, and refuses no outcome for what is in it."""
    workspace.endpoint(URL)
    workspace.send(2)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    for each in claim(database, 2):
        buffer.add(finished(each, DELIVERED))

    with raising(database, "attempts", sqlstate):
        assert not DatabaseBackoff(BackoffLimits()).run(buffer.write)
    assert buffer.recorded == 0
    buffer.write()

    assert buffer.recorded == len(attempts()) == 2
    assert not queued()


@pytest.mark.parametrize(("hours", "is_packed"), [(None, True), (-1, True), (1, False)])
def test_headers_are_packed_once_no_process_runs_that_could_not_read_them(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, hours: int | None, is_packed: bool
) -> None:
    if hours is not None:
        ends_at = clock.now() + timedelta(hours=hours)
        with database.begin() as connection:
            connection.execute(insert(RollingUpgrade).values(change=PACKED_HEADS, ends_at=ends_at))
    workspace.endpoint(URL)
    workspace.send()
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    headers = '[["content-type","application/json"]]'
    buffer.add(finished(claim(database)[0], DELIVERED, headers=headers))

    buffer.write()

    [attempt] = attempts()
    assert attempt.request_headers == headers
    assert (attempt.packed_heads is not None) is is_packed
    assert attempt.plain_request_headers == ("[]" if is_packed else headers)
