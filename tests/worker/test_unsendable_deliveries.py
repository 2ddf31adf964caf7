"""Endpoints that are gone, disabled or deleted: what becomes of their deliveries."""

import pytest
from sqlalchemy import update

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import deliveries
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    Endpoint,
    EndpointState,
)
from webhooks_app.endpoints import actions, waiting_counts
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_410_disables_the_endpoint_and_holds_the_rest(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(410)
    engine.run(seconds=60)

    endpoint = db.session.get_one(Endpoint, endpoint_id)
    assert not endpoint.is_enabled
    assert endpoint.disabled_reason == "The endpoint answered 410 Gone."
    assert deliveries()[0].state is DeliveryState.FAILED

    workspace.send()
    engine.run(seconds=60)
    assert [delivery.state for delivery in deliveries()] == [DeliveryState.FAILED, DeliveryState.HELD]
    assert len(receiver.received) == 1

    receiver.answer = Answer(200)
    assert actions.enable(database, endpoint, send_held=True, actor=TESTER) == 1
    engine.run(seconds=60)
    assert [delivery.state for delivery in deliveries()] == [DeliveryState.FAILED, DeliveryState.DELIVERED]


def test_held_deliveries_can_be_discarded(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, databases: Databases
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    actions.disable(databases.write, endpoint, actor=TESTER)
    workspace.send(3)

    assert waiting_counts.count_held(db.session(), endpoint.id) == 3
    actions.enable(databases.write, endpoint, send_held=False, actor=TESTER)
    engine.run(seconds=60)

    assert {delivery.state for delivery in deliveries()} == {DeliveryState.CANCELED}
    assert receiver.received == []


def test_a_delivery_committed_for_a_closed_endpoint_is_held(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(Endpoint).where(Endpoint.id == endpoint_id).values(state="disabled"))

    engine.run(seconds=60)

    assert deliveries()[0].state is DeliveryState.HELD
    assert receiver.received == []


def test_what_was_committed_for_an_endpoint_deleted_meanwhile_is_canceled(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    deleted, disabled = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:  # as if the accept had committed just after the admin had
        shut = update(Endpoint).values(state=EndpointState.DISABLED, updated_at=clock.now())
        connection.execute(shut.where(Endpoint.id == disabled))
        connection.execute(shut.where(Endpoint.id == deleted).values(deleted_at=clock.now()))
    engine.run(seconds=60)

    states = {delivery.endpoint_id: delivery.state for delivery in deliveries()}
    assert states == {deleted: DeliveryState.CANCELED, disabled: DeliveryState.HELD}
    assert receiver.received == []
