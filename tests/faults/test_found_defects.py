"""Defects that the suite found, each in a test of its own."""

from flask import Flask

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import LEASE, attempted, attempts, deliveries, make_due
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.deliveries import replays
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.recording import record


def test_a_keyed_event_gets_its_deliveries(app: Flask, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    headers = workspace.headers | {"Idempotency-Key": "one"}

    first, again = (app.test_client().post("/api/v1/events", json=body, headers=headers) for _ in range(2))

    assert first.get_json()["deliveries"] == 1
    assert again.json == first.json
    assert len(deliveries()) == 1


def test_a_replay_after_a_late_success_goes_on_behind_the_newest_claim(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        [late] = claims.claim_due(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)
    make_due(database)
    receiver.answer = Answer(500)
    engine.run(seconds=60)  # the second claim, recorded
    make_due(database)
    with database.begin() as connection:
        [overtaking] = claims.claim_due(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)

    for claim, kind in ((late, OutcomeClass.SUCCESS), (overtaking, OutcomeClass.HTTP_5XX)):
        finished = attempted(claim, Outcome(kind, status=200), delays=(5.0,))
        record(database, [finished], now=clock.now())
        receiver.answer = Answer(200)
        replays.replay(database, wake_ups, workspace.id, claim.delivery_id, actor=TESTER)

    engine.run(seconds=60)
    assert [attempt.generation for attempt in attempts()] == [1, 2, 3, 4]
    assert [delivery.state.value for delivery in deliveries()] == ["delivered"]
