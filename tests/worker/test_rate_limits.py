"""Rate limits and pauses of endpoints, across workers."""

import threading
import time
from collections import Counter
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from tests.conftest import MakeEngine, Workspace
from tests.receivers import Answer, Received, Receiver
from tests.worker.attempted import deliveries, make_due
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    EndpointHealth,
)
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_rate_limit_holds_across_workers(
    app: Flask,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    make_engine: MakeEngine,
) -> None:
    workspace.endpoint(receiver.url, rate_per_second=40)
    workspace.send(30)
    arrivals: list[float] = []

    def note(_: Received) -> Answer:
        arrivals.append(time.monotonic())
        return Answer()

    receiver.answer = note
    other = threading.Thread(target=make_engine().run, kwargs={"seconds": 60})

    began = time.monotonic()
    other.start()
    engine.run(seconds=60)
    other.join()

    assert len(arrivals) == 30
    # 30 at 40 a second take 0.75 s, less one burst of 4. Counted from before the first claim, which on a busy
    # machine comes a while before the first arrival.
    assert 0.65 < max(arrivals) - began < 30


def test_a_limited_endpoint_does_not_slow_down_the_others(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    limited = workspace.endpoint(receiver.url, rate_per_second=1)
    with Receiver() as unlimited:
        free = workspace.endpoint(unlimited.url)
        workspace.send(100)

        began = time.monotonic()
        engine.run(seconds=60, should_stop=lambda: len(unlimited.received) == 100 and bool(receiver.received))
        seconds = time.monotonic() - began

    counts = Counter(delivery.endpoint_id for delivery in deliveries() if delivery.attempt_count)
    assert counts[free] == 100
    assert 1 <= counts[limited] <= 2 + seconds


def test_an_endpoint_that_asks_for_patience_is_left_alone(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    make_engine: MakeEngine,
    database: WriteDatabase,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(200)
    receiver.answer = Answer(429, headers={"retry-after": "3600"})

    engine.run(seconds=1)
    other = make_engine()
    other.run(seconds=0.5)  # of another worker, too
    for each in (engine, other):
        while each.carry_on():
            pass

    assert len(receiver.received) < 50
    assert sum(delivery.attempt_count for delivery in deliveries()) == len(receiver.received)
    receiver.answer = Answer()
    with database.begin() as connection:  # the pause is over
        connection.execute(update(EndpointHealth).values(rate_free_at=clock.now()))
    make_due(database)
    make_engine().run(seconds=60)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_a_clock_that_was_ahead_does_not_shut_an_endpoint(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(receiver.url, rate_per_second=10)
    workspace.send()
    engine.run(seconds=60)
    with database.begin() as connection:
        ahead = update(EndpointHealth).values(rate_free_at=clock.now() + timedelta(days=1))
        connection.execute(ahead.where(EndpointHealth.endpoint_id == endpoint))
    workspace.send()
    engine.run(seconds=60)

    assert len(receiver.received) == 2
