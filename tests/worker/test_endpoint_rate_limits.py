"""Rate limits and pauses of endpoints, across workers."""

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import MakeEngine, Workspace
from tests.receivers import Answer, Received, Receiver
from tests.worker.attempted import URL, deliveries, make_due
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    EndpointHealth,
)
from webhooks_app.extensions import db
from webhooks_app.worker import endpoint_rate_limits
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
        while each.work_in_flight():
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


@pytest.fixture
def limited(workspace: Workspace) -> str:
    return workspace.endpoint("http://127.0.0.1:9/hooks")


def free_at(endpoint_id: str) -> datetime | None:
    db.session.rollback()
    return db.session.scalar(
        select(EndpointHealth.rate_free_at).where(EndpointHealth.endpoint_id == endpoint_id)
    )


def set_free_at(database: WriteDatabase, moment: datetime | None) -> None:
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values(rate_free_at=moment))


@pytest.mark.parametrize(("rate", "quota", "allowed"), [(1, 8, 1), (9, 8, 1), (50, 8, 5), (50, 4, 4)])
def test_a_claim_takes_a_tenth_of_a_seconds_worth_of_requests(
    limited: str, workspace: Workspace, database: WriteDatabase, rate: int, quota: int, allowed: int
) -> None:
    unlimited, not_asked_for = workspace.endpoint(f"{URL}/2"), workspace.endpoint(f"{URL}/3")
    with database.begin() as connection:
        quotas = {limited: quota, unlimited: 64}
        assert endpoint_rate_limits.reserve(
            connection, quotas, {limited: rate, not_asked_for: 1}, now=NOW
        ) == {
            limited: allowed,
            unlimited: 64,
        }


@pytest.mark.parametrize(
    ("free_in", "is_free"),
    [
        (None, True),
        (timedelta(seconds=-1), True),
        (timedelta(0), True),
        (timedelta(milliseconds=1), False),
        (endpoint_rate_limits.LONGEST_WAIT, False),
        (endpoint_rate_limits.LONGEST_WAIT + timedelta(milliseconds=1), True),
    ],
)
def test_nothing_is_claimed_before_an_endpoint_is_free(
    limited: str, database: WriteDatabase, free_in: timedelta | None, is_free: bool
) -> None:
    set_free_at(database, None if free_in is None else NOW + free_in)
    with database.begin() as connection:
        allowed = endpoint_rate_limits.reserve(connection, {limited: 8}, {limited: 10}, now=NOW)
    assert allowed == ({limited: 1} if is_free else {})


def test_what_was_claimed_is_spent(limited: str, workspace: Workspace, database: WriteDatabase) -> None:
    lost = workspace.endpoint("http://127.0.0.1:9/lost")
    claimed = [ClaimedDelivery(f"dlv_{number}", limited, "evt", 1, 0, 0) for number in range(5)]
    with database.begin() as connection:
        assert endpoint_rate_limits.spend(connection, claimed, {}, now=NOW) == {}
        assert endpoint_rate_limits.spend(connection, claimed, {limited: 50, lost: 7}, now=NOW) == {
            limited: NOW + timedelta(seconds=0.1),
            lost: NOW + endpoint_rate_limits.LOST_RESERVATION_DELAY,
        }
    assert (free_at(limited), free_at(lost)) == (NOW + timedelta(seconds=0.1), None)


def test_of_two_pauses_the_later_end_counts(
    limited: str, workspace: Workspace, database: WriteDatabase
) -> None:
    other = workspace.endpoint("http://127.0.0.1:9/other")
    for seconds in (5, 9, 2):
        with database.begin() as connection:
            endpoint_rate_limits.store_pauses(connection, {limited: NOW + timedelta(seconds=seconds)})
            endpoint_rate_limits.store_pauses(connection, {})
    assert (free_at(limited), free_at(other)) == (NOW + timedelta(seconds=9), None)
