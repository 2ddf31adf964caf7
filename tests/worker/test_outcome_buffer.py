"""Writing outcomes when something about them is odd, on both databases."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.worker.test_delivery import attempts, deliveries, queued
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, EndpointHealth, PendingDelivery
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims
from webhooks_app.worker.claims import Claim
from webhooks_app.worker.outcome_buffer import OutcomeBuffer
from webhooks_app.worker.recording import Finished, record

URL = "http://127.0.0.1:9/hooks"
DELAYS = (5.0,) * 9
TIMED_OUT, DELIVERED = Outcome(OutcomeClass.TIMEOUT), Outcome(OutcomeClass.SUCCESS, status=200)


def claim(database: WriteDatabase, count: int = 1) -> list[Claim]:
    with database.begin() as connection:
        rooms = {lane.endpoint_id: count for lane in claims.scan(connection, after="")}
        return claims.take(connection, rooms, now=clock.now(), lease=timedelta(seconds=60))


def claim_twice(database: WriteDatabase) -> tuple[Claim, Claim]:
    """One delivery, whose first claim outlived its lease."""
    [first] = claim(database)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now()))
    [second] = claim(database)
    return first, second


def finished(claimed: Claim, outcome: Outcome, headers: str = "[]") -> Finished:
    return Finished(claimed, clock.now(), headers, outcome)


def write(database: WriteDatabase, *some: Finished, is_again: bool = False) -> list[datetime]:
    return record(database, list(some), delays=DELAYS, now=clock.now(), is_again=is_again)


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
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now()))
    claim(database)

    write(database, finished(first, DELIVERED), finished(second, DELIVERED))

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert len(attempts()) == 1
    assert not queued()


def test_what_was_written_although_an_error_came_is_not_written_again(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    failed, succeeded = claim(database, 2)
    assert len(write(database, finished(failed, TIMED_OUT))) == 1

    write(database, finished(failed, TIMED_OUT), finished(succeeded, DELIVERED), is_again=True)

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
    batch = OutcomeBuffer(database, wake_ups, delays=DELAYS, lease=timedelta(seconds=60))
    batch.add(finished(first, DELIVERED))
    batch.add(finished(odd, DELIVERED, headers="\udcff"))  # no text of any encoding
    batch.add(finished(last, TIMED_OUT))

    batch.write()

    assert not batch
    assert batch.recorded == 2
    assert {attempt.delivery_id for attempt in attempts()} == {first.delivery_id, last.delivery_id}
    assert queued() == {odd.delivery_id, last.delivery_id}
