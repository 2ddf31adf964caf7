"""What attempts add to their endpoints' health and rollups."""

import random

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import attempts, deliveries
from webhooks_app.db.models import (
    AttemptRollup,
    EndpointHealth,
)
from webhooks_app.deliveries import replays
from webhooks_app.extensions import db, services
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_outcomes_add_up_in_health_and_rollups(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(30)
    receiver.answer = lambda request: Answer(random.choice([200, 500]))

    engine.run(seconds=60)

    counted: dict[str, int] = {}
    for row in db.session.scalars(select(AttemptRollup)):
        assert row.endpoint_id == endpoint_id
        counted[row.outcome] = counted.get(row.outcome, 0) + row.count
    outcomes = [attempt.outcome for attempt in attempts()]
    assert counted == {name: outcomes.count(name) for name in set(outcomes)}
    health = db.session.get_one(EndpointHealth, endpoint_id)
    assert (health.last_success_at is not None) == ("success" in outcomes)
    assert (health.last_failure_at is not None) == ("http_5xx" in outcomes)


def test_the_newest_delivery_that_was_attempted_is_noted(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(3)
    engine.run(seconds=60)
    ids = [delivery.id for delivery in deliveries()]
    replays.replay(services().write, services().wake_ups, workspace.id, ids[0], actor=TESTER)
    engine.run(seconds=60)

    assert db.session.get_one(EndpointHealth, endpoint_id).newest_attempted_id == ids[-1]


def test_a_streak_of_failures_is_dated_from_its_first(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    receiver.answer = Answer(500)
    workspace.send()
    engine.run(seconds=60)
    first = db.session.get_one(EndpointHealth, endpoint_id).failing_since
    assert first is not None
    workspace.send()
    engine.run(seconds=60)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.get_one(EndpointHealth, endpoint_id).failing_since == first

    receiver.answer = Answer(200)
    workspace.send()
    engine.run(seconds=60)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.get_one(EndpointHealth, endpoint_id).failing_since is None
