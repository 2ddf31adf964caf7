"""Recorded attempts: retries, the end of the schedule, stale claims."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.conftest import Workspace
from tests.receivers import Answer, Received, Receiver
from tests.worker.attempted import attempts, deliveries, make_due
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    PendingDelivery,
)
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_failure_is_retried_with_the_same_id_and_bytes(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.last_outcome, delivery.attempts_in_schedule) == (
        DeliveryState.PENDING,
        "http_5xx",
        1,
    )
    assert delivery.next_attempt_at is not None and delivery.last_attempt_at is not None
    assert delivery.next_attempt_at > delivery.last_attempt_at + timedelta(seconds=4.5)
    assert delivery.next_attempt_at <= clock.now() + timedelta(seconds=5.5)
    [(name, moment)] = wake_ups.scheduled_jobs()
    assert name == f"due-{int(moment.timestamp())}"
    assert timedelta(0) <= moment - delivery.next_attempt_at < timedelta(seconds=1)

    receiver.answer = Answer(200)
    make_due(database)
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 2)
    first, second = receiver.received
    assert first.delivery_id == second.delivery_id
    assert first.body == second.body
    assert [attempt.outcome for attempt in attempts()] == ["http_5xx", "success"]


def test_the_schedule_ends_in_failed(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    settings: Settings,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503)

    for _ in range(len(settings.retry_delays) + 3):
        engine.run(seconds=60)
        make_due(database)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 10)
    assert delivery.next_attempt_at is None
    assert len(receiver.received) == 10


def test_retry_after_postpones_the_retry(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(429, headers={"Retry-After": "120"})

    engine.run(seconds=60)

    [delivery] = deliveries()
    assert delivery.next_attempt_at is not None and delivery.last_attempt_at is not None
    assert delivery.next_attempt_at >= delivery.last_attempt_at + timedelta(seconds=120)
    assert delivery.next_attempt_at <= clock.now() + timedelta(seconds=120)


def test_a_detail_that_quotes_what_is_no_text_is_kept(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503, headers={"transfer-encoding": "ch\xffnked"})

    engine.run(seconds=60)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.status) == ("invalid_response", 503)
    assert r"(ch\xffnked)" in str(attempt.detail)


def test_a_stale_claims_failure_is_dropped_and_its_late_success_counts(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)

    def overtake(request: Received) -> Answer:
        with database.begin() as connection:
            connection.execute(
                update(PendingDelivery)
                .where(PendingDelivery.delivery_id == request.delivery_id)
                .values(generation=PendingDelivery.generation + 1)
            )
        return Answer(200 if request is receiver.received[0] else 500)

    receiver.answer = overtake
    engine.run(seconds=60)

    states = {delivery.id: delivery.state for delivery in deliveries()}
    first, second = (request.delivery_id for request in receiver.received)
    assert states == {first: DeliveryState.DELIVERED, second: DeliveryState.PENDING}
    assert [attempt.delivery_id for attempt in attempts()] == [first]
