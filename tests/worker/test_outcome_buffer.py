"""Writing outcomes when something about them is odd, on both databases."""

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.conftest import Workspace
from tests.worker.attempted import LEASE, attempted, attempts, deliveries, make_due, queued
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, EndpointHealth
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims, endpoint_scan, outcome_buffer
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.engine_limits import BufferLimits
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.recording import record

URL = "http://127.0.0.1:9/hooks"
DELAYS = (5.0,) * 9
TIMED_OUT, DELIVERED = Outcome(OutcomeClass.TIMEOUT), Outcome(OutcomeClass.SUCCESS, status=200)


def claim(database: WriteDatabase, count: int = 1) -> list[ClaimedDelivery]:
    with database.begin() as connection:
        endpoints = endpoint_scan.scan(connection, after="", count=10)
        quotas = {endpoint.endpoint_id: count for endpoint in endpoints}
        return claims.claim_due(connection, quotas, now=clock.now(), lease=LEASE)


def claim_twice(database: WriteDatabase) -> tuple[ClaimedDelivery, ClaimedDelivery]:
    """One delivery, whose first claim outlived its lease."""
    [first] = claim(database)
    make_due(database)
    [second] = claim(database)
    return first, second


def finished(claimed: ClaimedDelivery, outcome: Outcome, headers: str = "[]") -> ClaimedDelivery:
    return attempted(claimed, outcome, delays=DELAYS, headers=headers)


def write(database: WriteDatabase, *some: ClaimedDelivery, is_retry: bool = False) -> list[datetime]:
    return record(database, list(some), now=clock.now(), is_retry=is_retry)


@pytest.mark.parametrize("is_stale_first", [True, False])
def test_a_stale_failure_in_one_batch_with_the_success_changes_nothing(
    workspace: Workspace, database: WriteDatabase, is_stale_first: bool
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)
    some = [finished(stale, TIMED_OUT), finished(current, DELIVERED)]

    assert write(database, *(some if is_stale_first else reversed(some))) == []

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert [(attempt.generation, attempt.outcome) for attempt in attempts()] == [(2, "success")]
    assert not queued()
    assert db.session.scalar(select(EndpointHealth.failure_count)) == 0


def test_a_stale_success_in_one_batch_with_the_failure_counts(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)

    write(database, finished(current, TIMED_OUT), finished(stale, DELIVERED))

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 2)
    assert not queued()


def test_two_stale_successes_in_one_batch_count_once(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    first, second = claim_twice(database)
    make_due(database)
    claim(database)

    write(database, finished(first, DELIVERED), finished(second, DELIVERED))

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert len(attempts()) == 1
    assert not queued()


def test_a_late_success_of_a_delivered_delivery_changes_nothing(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)
    write(database, finished(current, DELIVERED))
    [before] = [(each.attempt_count, each.last_attempt_at, each.finished_at) for each in deliveries()]

    write(database, finished(stale, DELIVERED))

    [after] = [(each.attempt_count, each.last_attempt_at, each.finished_at) for each in deliveries()]
    assert after == before
    assert [attempt.generation for attempt in attempts()] == [2]


def test_an_attempt_ends_the_count_of_expired_leases(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    _, second = claim_twice(database)
    assert second.expired_leases == 1

    write(database, finished(second, TIMED_OUT))

    make_due(database)
    [third] = claim(database)
    assert (third.expired_leases, third.is_suspect) == (0, False)


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
    buffer.write_if_due(is_sending=True)

    assert (len(attempts()) == 1) is is_written
    assert bool(buffer) is not is_written


@pytest.mark.parametrize(
    ("largest", "oldest_seconds", "is_sending", "is_written"),
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
    is_sending: bool,
    is_written: bool,
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    limits = BufferLimits(largest=largest, oldest_seconds=oldest_seconds)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=limits)
    for each in claim(database, 2):
        buffer.add(finished(each, DELIVERED))

    buffer.write_if_due(is_sending=is_sending)

    assert bool(buffer) is not is_written
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

    buffer.add(first)
    now += 9
    buffer.add(second)
    buffer.write_if_due(is_sending=True)
    assert buffer.recorded == 0
    now += 1
    buffer.write_if_due(is_sending=True)
    assert buffer.recorded == 2

    now += 3600
    buffer.add(third)
    buffer.write_if_due(is_sending=True)
    assert buffer.recorded == 2


def test_outcomes_outlast_an_outage_and_are_dropped_with_their_leases(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the deliveries are then due again. Each new try says that an earlier one may have written."""
    workspace.endpoint(URL)
    workspace.send(3)
    early, lost, later = (finished(each, DELIVERED) for each in claim(database, 3))
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

    is_away = True
    buffer.add(lost)
    now += LEASE.total_seconds() + 1
    with pytest.raises(OperationalError):
        buffer.write()
    assert not buffer

    is_away = False
    buffer.add(later)
    buffer.write()
    assert buffer.recorded == 2
    assert {attempt.delivery_id for attempt in attempts()} == {early.delivery_id, later.delivery_id}
    assert retries[3] is False


@pytest.mark.parametrize("is_one_refused", [False, True])
def test_retries_are_scheduled_once_they_are_recorded(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, is_one_refused: bool
) -> None:
    workspace.endpoint(URL)
    workspace.send(3)
    some = claim(database, 3)
    buffer = OutcomeBuffer(database, wake_ups, lease=LEASE, limits=BufferLimits())
    now = clock.now()
    for index, each in enumerate(some):
        headers = "\udcff" if is_one_refused and index == 1 else "[]"
        at = now + timedelta(minutes=index)
        buffer.add(attempted(each, TIMED_OUT, at=at, delays=DELAYS, headers=headers))

    buffer.write()

    expected = [some[0], some[2]] if is_one_refused else some
    due = [each.decision.next_attempt_at for each in expected]
    scheduled = [moment for _, moment in wake_ups.scheduled_jobs()]
    assert [round_up(moment) for moment in due if moment] == scheduled


def round_up(moment: datetime) -> datetime:
    return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)


def test_what_was_written_although_an_error_came_is_not_written_again(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    failed, succeeded = claim(database, 2)
    assert len(write(database, finished(failed, TIMED_OUT))) == 1

    write(database, finished(failed, TIMED_OUT), finished(succeeded, DELIVERED), is_retry=True)

    by_id = {delivery.id: delivery for delivery in deliveries()}
    assert (by_id[failed.delivery_id].attempts_in_schedule, by_id[failed.delivery_id].attempt_count) == (1, 1)
    assert by_id[succeeded.delivery_id].state is DeliveryState.DELIVERED
    assert len(attempts()) == 2


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


def test_a_retry_that_is_recorded_late_is_due_then_and_not_before(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    now = clock.now()
    late, timely = (attempted(each, TIMED_OUT, at=now, delays=DELAYS) for each in claim(database, 2))

    assert record(database, [timely], now=now + timedelta(seconds=1)) == [timely.decision.next_attempt_at]
    recorded_at = now + timedelta(minutes=1)  # as after an outage of the database
    assert record(database, [late], now=recorded_at) == [recorded_at]

    by_id = {delivery.id: delivery.next_attempt_at for delivery in deliveries()}
    assert by_id == {timely.delivery_id: timely.decision.next_attempt_at, late.delivery_id: recorded_at}
