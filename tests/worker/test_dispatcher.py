"""What is sent together, what in isolation, and what cannot be sent."""

import time

import pytest
from sqlalchemy import update

from tests.conftest import MakeEngine, Workspace
from tests.receivers import Answer, Received, Receiver
from tests.worker.attempted import deliveries
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    Endpoint,
    PendingDelivery,
)
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import ConcurrencyLimits, EngineLimits

pytestmark = pytest.mark.usefixtures("queue_matches_states")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_deliveries_with_two_expired_leases_are_sent_one_at_a_time(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(12)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(expired_leases=1, claimed_at=clock.now()))
    at_once = 0
    most = 0

    def watch(request: Received) -> Answer:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1
        return Answer()

    receiver.answer = watch
    engine.run(seconds=60)

    assert most == 1
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 12


@on_sqlite
def test_a_request_that_cannot_be_started_takes_no_other_along(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    broken, fine = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    with database.begin() as connection:  # not even a URL, which no form lets through
        connection.execute(update(Endpoint).where(Endpoint.id == broken).values(url="http://127.0.0.1:1/é"))
    workspace.send(3)
    engine.run(seconds=60)

    states = {(delivery.endpoint_id, delivery.state) for delivery in deliveries()}
    assert states == {(broken, DeliveryState.PENDING), (fine, DeliveryState.DELIVERED)}
    engine.wind_up()


@on_sqlite
def test_a_worker_may_send_to_more_endpoints_than_it_caches(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine = make_engine(limits=EngineLimits(cached_destinations=1))
    for _ in range(3):
        workspace.endpoint(receiver.url)
        workspace.endpoint(receiver.url)
        workspace.send()
        engine.run(seconds=60)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 2 + 4 + 6


@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(delay_seconds=2), Answer(announced_bytes=9)],
    ids=["errors", "silence", "successes that hold their slots"],
)
@on_sqlite
def test_the_concurrency_of_an_endpoint_that_fails_shrinks(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, answer: Answer
) -> None:
    endpoint = workspace.endpoint(receiver.url, timeout_ms=1000)
    workspace.send(40)
    engine.run(seconds=60)
    grown = engine._concurrency.of(endpoint).limit

    receiver.answer = answer
    workspace.send(5)
    engine.run(seconds=60)

    assert engine._concurrency.of(endpoint).limit < ConcurrencyLimits().initial < grown
