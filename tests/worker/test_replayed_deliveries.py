"""Replays, from the press to the recorded attempt."""

import pytest
from sqlalchemy import update

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import attempts, deliveries
from webhooks_app.core import clock
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint
from webhooks_app.deliveries import replays
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


@pytest.mark.parametrize("status", [200, 500])
def test_a_replay_of_a_finished_delivery_starts_afresh(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
    status: int,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(410 if status == 500 else 200)
    engine.run(seconds=60)
    [delivery] = deliveries()
    actions.enable(database, delivery.endpoint, send_held=True, actor=TESTER)
    receiver.answer = Answer(status)

    result = replays.replay(database, wake_ups, workspace.id, delivery.id, actor=TESTER)
    engine.run(seconds=60)

    assert result is ReplayResult.STARTED
    [delivery] = deliveries()
    assert (delivery.attempt_count, delivery.attempts_in_schedule) == (2, 1)
    assert delivery.state is (DeliveryState.DELIVERED if status == 200 else DeliveryState.PENDING)
    assert len({request.delivery_id for request in receiver.received}) == 1


def test_a_replay_to_a_closed_endpoint_is_refused(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    workspace.send()
    engine.run(seconds=60)
    [delivery] = deliveries()
    actions.disable(database, endpoint, actor=TESTER)
    assert (
        replays.replay(database, wake_ups, workspace.id, delivery.id, actor=TESTER)
        is ReplayResult.ENDPOINT_DISABLED
    )
    actions.remove(database, endpoint, actor=TESTER)
    assert (
        replays.replay(database, wake_ups, workspace.id, delivery.id, actor=TESTER)
        is ReplayResult.ENDPOINT_DELETED
    )


@pytest.mark.parametrize("is_disabled", [False, True])
def test_what_older_code_replays_without_its_payload_is_canceled_unsent(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    caplog: pytest.LogCaptureFixture,
    is_disabled: bool,
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    [event_id] = workspace.send()
    engine.run(seconds=60)
    replay_as_before_payloads_were_erased(database, event_id)
    workspace.send()
    if is_disabled:
        with database.begin() as connection:
            connection.execute(update(Endpoint).values(state="disabled", updated_at=clock.now()))

    engine.run(seconds=60)

    erased, other = deliveries()
    assert erased.endpoint_id == endpoint_id
    assert (erased.state, erased.finished_at is not None) == (DeliveryState.CANCELED, True)
    assert other.state is (DeliveryState.HELD if is_disabled else DeliveryState.DELIVERED)
    assert [len(each.body) > 0 for each in receiver.received] == [True] * (1 if is_disabled else 2)
    assert len(attempts()) == len(receiver.received)
    assert [each.delivery_id for each in caplog.records if each.message == "payload_erased"] == [erased.id]  # type: ignore[attr-defined]


def replay_as_before_payloads_were_erased(database: WriteDatabase, event_id: str) -> None:
    with database.begin() as connection:
        payload_rows.erase_bodies(connection, [event_id], now=clock.now())
        theirs = update(Delivery).where(Delivery.event_id == event_id)
        again = theirs.values(state=DeliveryState.PENDING, finished_at=None, attempts_in_schedule=0)
        [delivery_id] = connection.scalars(again.returning(Delivery.id))
        delivery_queue.add(connection, [delivery_id], now=clock.now())
