"""Manual attempts: beside the schedule, which stays as it was unless the delivery arrives."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import (
    DELIVERED,
    TIMED_OUT,
    attempted,
    attempts,
    claim,
    deliveries,
    make_due,
    write,
)
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, EndpointState, PendingDelivery
from webhooks_app.deliveries import replays
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


@pytest.fixture
def press(database: WriteDatabase, wake_ups: WakeUps, workspace: Workspace) -> Callable[[], ReplayResult]:
    """Send the one delivery now."""
    return lambda: replays.replay(database, wake_ups, workspace.id, deliveries()[0].id, actor=TESTER)


@pytest.fixture
def retrying(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine) -> Delivery:
    """A delivery whose first attempt failed."""
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    engine.run(seconds=60)
    return deliveries()[0]


def queue_row() -> PendingDelivery:
    db.session.rollback()
    return db.session.scalars(select(PendingDelivery)).one()


def schedule(delivery: Delivery) -> tuple[DeliveryState, int, datetime | None]:
    return delivery.state, delivery.attempts_in_schedule, delivery.next_attempt_at


def test_its_failure_leaves_state_tries_and_due_time(
    retrying: Delivery, press: Callable[[], ReplayResult], receiver: Receiver, engine: DeliveryEngine
) -> None:
    before, due_at = schedule(retrying), queue_row().next_attempt_at
    for _ in range(4):
        assert press() is ReplayResult.SENT_NOW
        engine.run(seconds=60)

    [delivery] = deliveries()
    assert schedule(delivery) == before
    assert (queue_row().next_attempt_at, queue_row().attempts_in_schedule) == (due_at, 1)
    assert queue_row().scheduled_at is None
    assert delivery.attempt_count == len(receiver.received) == 5
    assert [each.is_manual for each in attempts()] == [False, True, True, True, True]


def test_its_success_delivers(
    retrying: Delivery, press: Callable[[], ReplayResult], receiver: Receiver, engine: DeliveryEngine
) -> None:
    receiver.answer = Answer(200)
    press()
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 2)
    assert len({each.delivery_id for each in receiver.received}) == 1
    assert [each.is_manual for each in attempts()] == [False, True]


def test_the_schedule_goes_on_behind_it(
    retrying: Delivery,
    press: Callable[[], ReplayResult],
    engine: DeliveryEngine,
    database: WriteDatabase,
) -> None:
    press()
    engine.run(seconds=60)
    make_due(database)
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.attempts_in_schedule, delivery.attempt_count) == (2, 3)
    assert [each.is_manual for each in attempts()] == [False, True, False]


def test_pressing_twice_before_a_worker_comes_makes_one_attempt(
    retrying: Delivery, press: Callable[[], ReplayResult], receiver: Receiver, engine: DeliveryEngine
) -> None:
    before = schedule(retrying)
    assert press() is press() is ReplayResult.SENT_NOW
    engine.run(seconds=60)
    assert schedule(deliveries()[0]) == before
    assert len(receiver.received) == 2


def test_one_whose_scheduled_moment_came_before_a_worker_did_is_the_scheduled_attempt(
    retrying: Delivery,
    press: Callable[[], ReplayResult],
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
) -> None:
    press()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(scheduled_at=clock.now() - timedelta(seconds=1)))
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.attempts_in_schedule, delivery.attempt_count) == (2, 2)
    assert [each.is_manual for each in attempts()] == [False, False]


def test_a_worker_that_dies_at_it_leaves_a_manual_attempt(
    retrying: Delivery, press: Callable[[], ReplayResult], database: WriteDatabase
) -> None:
    before = schedule(retrying)
    press()
    [lost] = claim(database)
    make_due(database)  # as when the lease ends
    [again] = claim(database)
    assert lost.is_manual and again.is_manual and again.expired_leases == 1

    write(database, attempted(again, TIMED_OUT))
    assert write(database, attempted(lost, TIMED_OUT)) == []
    assert schedule(deliveries()[0]) == before
    assert [each.is_manual for each in attempts()] == [False, True]


def test_its_late_success_counts(
    retrying: Delivery, press: Callable[[], ReplayResult], database: WriteDatabase
) -> None:
    press()
    [stale] = claim(database)
    make_due(database)
    claim(database)
    write(database, attempted(stale, DELIVERED))
    assert deliveries()[0].state is DeliveryState.DELIVERED


def test_410_to_it_disables_the_endpoint_and_holds_the_delivery(
    retrying: Delivery, press: Callable[[], ReplayResult], receiver: Receiver, engine: DeliveryEngine
) -> None:
    receiver.answer = Answer(410)
    press()
    engine.run(seconds=60)
    assert db.session.scalars(select(Endpoint.state)).one() is EndpointState.DISABLED
    assert deliveries()[0].state is DeliveryState.HELD


def test_what_kills_its_workers_is_given_up_all_the_same(
    retrying: Delivery, press: Callable[[], ReplayResult], database: WriteDatabase
) -> None:
    press()
    [claimed] = claim(database)
    write(database, attempted(claimed, Outcome(OutcomeClass.CRASHED)))
    assert deliveries()[0].state is DeliveryState.FAILED


def test_an_attempt_that_is_due_or_the_first_of_its_schedule_is_none(
    workspace: Workspace,
    receiver: Receiver,
    press: Callable[[], ReplayResult],
    engine: DeliveryEngine,
    database: WriteDatabase,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    with database.begin() as connection:  # as when the platform had no means left to send it
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now() + timedelta(minutes=1)))
    assert press() is ReplayResult.SENT_NOW
    engine.run(seconds=60)
    make_due(database)
    assert press() is ReplayResult.SENT_NOW
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.attempts_in_schedule, delivery.attempt_count) == (2, 2)
    assert not any(each.is_manual for each in attempts())
