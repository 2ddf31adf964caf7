"""Replays, from the press to the recorded attempt."""

import pytest

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import deliveries
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    Endpoint,
)
from webhooks_app.deliveries import replays
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
