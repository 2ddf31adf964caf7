"""Test events: attempted once, and counted nowhere."""

import pytest
from sqlalchemy import func, select

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import attempts, deliveries
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AttemptRollup, DeliveryState, Endpoint, EndpointHealth
from webhooks_app.deliveries import replays
from webhooks_app.endpoints import actions
from webhooks_app.events import test_events
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

EVENT = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "succeeded"})

pytestmark = pytest.mark.usefixtures("queue_matches_states")


@pytest.fixture
def endpoint(workspace: Workspace, receiver: Receiver) -> Endpoint:
    return db.session.get_one(Endpoint, workspace.endpoint(receiver.url))


@pytest.fixture
def delivery_id(endpoint: Endpoint, database: WriteDatabase, wake_ups: WakeUps) -> str:
    """A test that was sent."""
    return test_events.send_test(database, wake_ups, endpoint, EVENT, actor=TESTER)


def counted(endpoint_id: str) -> tuple[object, ...]:
    db.session.rollback()
    db.session.expire_all()
    health = db.session.get_one(EndpointHealth, endpoint_id)
    rollups = db.session.scalar(select(func.count()).select_from(AttemptRollup))
    return health.last_success_at, health.last_failure_at, health.failing_since, health.failure_count, rollups


NOTHING = (None, None, None, 0, 0)


@pytest.mark.parametrize("status", [200, 503])
def test_it_counts_towards_neither_health_nor_charts(
    endpoint: Endpoint, delivery_id: str, receiver: Receiver, engine: DeliveryEngine, status: int
) -> None:
    endpoint_id = endpoint.id
    receiver.answer = Answer(status)
    engine.run(seconds=60)
    assert len(receiver.received) == len(attempts()) == 1
    assert counted(endpoint_id) == NOTHING


def test_it_is_tried_once_and_so_is_its_replay(
    workspace: Workspace,
    endpoint: Endpoint,
    delivery_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    receiver.answer = Answer(503)
    for attempt_count in (1, 2):
        engine.run(seconds=60)
        [delivery] = deliveries()
        assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, attempt_count)
        replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
    receiver.answer = Answer(200)
    engine.run(seconds=60)
    [delivery] = deliveries()
    assert (delivery.state, delivery.is_test) == (DeliveryState.DELIVERED, True)
    assert counted(delivery.endpoint_id) == NOTHING


def test_410_to_it_leaves_the_endpoint_enabled(
    endpoint: Endpoint, delivery_id: str, receiver: Receiver, engine: DeliveryEngine
) -> None:
    receiver.answer = Answer(410)
    engine.run(seconds=60)
    db.session.refresh(endpoint)
    assert endpoint.is_enabled
    assert deliveries()[0].state is DeliveryState.FAILED


def test_real_events_beside_it_count(
    workspace: Workspace, endpoint: Endpoint, delivery_id: str, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = endpoint.id
    workspace.send()
    receiver.answer = Answer(503)
    engine.run(seconds=60)
    success_at, failure_at, _, failures, rollups = counted(endpoint_id)
    assert (success_at, failures, rollups) == (None, 1, 1)
    assert failure_at is not None
    assert [each.is_test for each in deliveries()] == [True, False]


def test_one_that_was_held_stays_a_test(
    endpoint: Endpoint,
    delivery_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
) -> None:
    actions.disable(database, endpoint, actor=TESTER)
    actions.enable(database, endpoint, send_held=True, actor=TESTER)
    receiver.answer = Answer(503)
    engine.run(seconds=60)
    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 1)
