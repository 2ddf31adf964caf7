"""What a worker's engine does when its database, its time or its slots run out, on both databases."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url, update

from tests.conftest import Workspace, wait_for
from tests.receivers import Answer, Receiver
from tests.worker.test_delivery import attempts, deliveries, make_due, queued
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint, EndpointHealth, PendingDelivery
from webhooks_app.endpoints import destinations
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims
from webhooks_app.worker import engine as engine_module
from webhooks_app.worker.concurrency import START
from webhooks_app.worker.engine import DeliveryEngine

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
QUEUE = "rq:queue:deliveries"


@contextmanager
def outage(database_url: str, seconds: float) -> Iterator[None]:
    """The database refuses all who would write for so long: SQLite is locked, PostgreSQL hangs up on them."""
    act = _lock if database_url.startswith("sqlite") else _hang_up
    running = threading.Thread(target=act, args=(database_url, seconds))
    running.start()
    yield
    running.join()


def _lock(database_url: str, seconds: float) -> None:
    connection = sqlite3.connect(str(make_url(database_url).database), isolation_level=None, timeout=5)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(seconds)
    connection.close()


def _hang_up(database_url: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        while time.monotonic() < until:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )


def test_answers_that_come_during_an_outage_are_written_after_it(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database_url: str
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(5)
    delays = iter((0.2, 0.3, 0.4, 0.5, 0.6))
    receiver.answer = lambda _: Answer(delay_seconds=next(delays))
    running = threading.Thread(target=engine.run, kwargs={"seconds": 60})
    running.start()
    wait_for(lambda: len(receiver.received) == 5)

    with outage(database_url, seconds=1.5):
        pass
    running.join()

    assert {attempt.outcome for attempt in attempts()} == {"success"}
    assert len(attempts()) == len(receiver.received) == 5
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_what_is_in_flight_when_a_runs_time_is_over_goes_on(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, settings: Settings
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(3)
    may_answer, claimed = threading.Event(), 0
    receiver.answer = lambda _: may_answer.wait(60) and Answer()
    with Redis.from_url(settings.redis_url) as redis:
        while len(receiver.received) < 3:
            redis.flushdb()
            tally = engine.run(seconds=0.2)
            claimed += tally.claimed
            assert tally.recorded == 0

        assert redis.llen(QUEUE) == 1  # somebody has to go on claiming
    assert claimed == 3
    may_answer.set()
    while engine.carry_on():
        pass
    assert [attempt.outcome for attempt in attempts()] == ["success"] * 3
    assert not queued()


@pytest.mark.parametrize("answer", [Answer(500), Answer(delay_seconds=2)], ids=["errors", "silence"])
@on_sqlite
def test_the_window_of_an_endpoint_in_trouble_shrinks(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, answer: Answer
) -> None:
    endpoint = workspace.endpoint(receiver.url, timeout_ms=1000)
    workspace.send(40)
    engine.run(seconds=5)
    grown = engine._windows.of(endpoint).size

    receiver.answer = answer
    workspace.send(5)
    engine.run(seconds=5)

    assert engine._windows.of(endpoint).size < START < grown


def test_a_slow_endpoint_does_not_hold_up_the_others_when_a_runs_time_is_over(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    may_answer, is_over, ended = threading.Event(), threading.Event(), []

    def runs() -> None:
        while not is_over.is_set():
            ended.append(engine.run(seconds=0.3))

    with Receiver() as slow:
        slow.answer = lambda _: may_answer.wait(60) and Answer()
        workspace.endpoint(slow.url, timeout_ms=30_000)
        workspace.endpoint(receiver.url)
        workspace.send()
        running = threading.Thread(target=runs)
        running.start()
        try:
            wait_for(lambda: slow.received)
            before = len(ended)
            wait_for(lambda: len(ended) > before)
            workspace.send()
            wait_for(lambda: len(receiver.received) == 2, seconds=20)
        finally:
            may_answer.set()
            is_over.set()
            running.join()


def test_a_run_with_its_hands_full_calls_one_more_worker(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    settings: Settings,
    make_engine: Callable[[], DeliveryEngine],
) -> None:
    engine._sender._capacity = engine._windows.capacity = 8
    may_answer = threading.Event()
    receiver.answer = lambda _: may_answer.wait(60) and Answer()
    for _ in range(4):
        workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send(10)
    with Redis.from_url(settings.redis_url) as redis:
        redis.flushdb()
        options = {"seconds": 60, "should_stop": may_answer.is_set}
        running = threading.Thread(target=engine.run, kwargs=options)
        running.start()
        try:
            wait_for(lambda: redis.llen(QUEUE))
            redis.delete(QUEUE)
            other = make_engine()
            other.run(seconds=30, should_stop=lambda: len(receiver.received) > 8 and may_answer.set() is None)
        finally:
            may_answer.set()
            running.join()
    assert len(receiver.received) > 8


def test_what_a_worker_hands_back_at_its_end_wakes_another(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "STOP_GRACE_SECONDS", 0.3)
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(3)
    receiver.answer = Answer(delay_seconds=30)
    with Redis.from_url(settings.redis_url) as redis:
        redis.flushdb()
        engine.run(seconds=60, should_stop=lambda: len(receiver.received) == 3)
        assert redis.llen(QUEUE) == 1


@on_sqlite
def test_news_in_the_middle_of_a_round_of_looks_is_looked_for(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    wake_ups: WakeUps,
    database: WriteDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, *_ = sorted(workspace.endpoint(receiver.url) for _ in range(5))
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now() + timedelta(hours=1)))
    monkeypatch.setattr(claims, "LANES_PER_LOOK", 2)
    look, looked_after = claims.scan, []

    def lanes(*args: object, **options: object) -> object:
        found = look(*args, **options)
        looked_after.append(options["after"])
        if len(looked_after) == 2:  # while it looks at the second stretch, something of the first falls due
            is_of_first = PendingDelivery.endpoint_id == first
            with database.begin() as connection:
                connection.execute(
                    update(PendingDelivery).where(is_of_first).values(next_attempt_at=clock.now())
                )
            wake_ups.wake_worker()
        return found

    monkeypatch.setattr(claims, "scan", lanes)
    engine.run(seconds=5)

    assert len(receiver.received) == 1


@on_sqlite
def test_a_request_that_cannot_be_started_takes_no_other_along(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    broken, fine = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    with database.begin() as connection:  # not even a URL, which no form lets through
        connection.execute(update(Endpoint).where(Endpoint.id == broken).values(url="http://127.0.0.1:1/é"))
    workspace.send(3)
    engine.run(seconds=5)

    states = {(delivery.endpoint_id, delivery.state) for delivery in deliveries()}
    assert states == {(broken, DeliveryState.PENDING), (fine, DeliveryState.DELIVERED)}
    engine.wind_up()


@on_sqlite
def test_a_worker_may_know_more_endpoints_than_it_keeps(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destinations, "LARGEST_CACHE", 1)
    for _ in range(3):
        workspace.endpoint(receiver.url)
        workspace.endpoint(receiver.url)
        workspace.send()
        engine.run(seconds=5)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 2 + 4 + 6


def test_an_endpoint_that_asks_for_patience_is_left_alone(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    make_engine: Callable[[], DeliveryEngine],
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
    make_engine().run(seconds=5)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_a_clock_that_was_ahead_does_not_shut_an_endpoint(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(receiver.url, rate_per_second=10)
    workspace.send()
    engine.run(seconds=5)
    with database.begin() as connection:
        ahead = update(EndpointHealth).values(rate_free_at=clock.now() + timedelta(days=1))
        connection.execute(ahead.where(EndpointHealth.endpoint_id == endpoint))
    workspace.send()
    engine.run(seconds=5)

    assert len(receiver.received) == 2
