"""Runs of the delivery engine: many deliveries, and what happens when its database, time or slots run out."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url, select, update

from tests.conftest import MakeEngine, Workspace
from tests.patience import PATIENT_LIMITS
from tests.receivers import Answer, Receiver, answer_after
from tests.waiting import wait_for
from tests.worker.attempted import attempts, claim, deliveries, queued
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    PendingDelivery,
)
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import EngineLimits

pytestmark = pytest.mark.usefixtures("queue_matches_states")
QUEUE = "rq:queue:deliveries"
SHORT_GRACE = EngineLimits(stop_grace_seconds=0.3)


@contextmanager
def outage(database_url: str) -> Iterator[None]:
    """The database refuses all who would write meanwhile: SQLite is locked, PostgreSQL hangs up on them."""
    refusing = _locked if database_url.startswith("sqlite") else _hanging_up
    with refusing(database_url):
        yield


@contextmanager
def _locked(database_url: str) -> Iterator[None]:
    path = str(make_url(database_url).database)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _hanging_up(database_url: str) -> Iterator[None]:
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        _hang_up(connection)  # also on whoever has read the table in a transaction
        connection.execute("LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE")  # nobody is quicker than that
        is_over = threading.Event()

        def go_on() -> None:
            while not is_over.is_set():
                _hang_up(connection)

        running = threading.Thread(target=go_on)
        running.start()
        yield
        is_over.set()
        running.join()


def _hang_up(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT pg_stat_clear_snapshot()")
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )


def test_many_deliveries_to_many_endpoints_all_arrive_once(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    for number in range(20):
        workspace.endpoint(f"{receiver.url}/{number}", name=str(number))
    workspace.send(60)

    result = engine.run(seconds=300)

    assert result.claimed == result.recorded == 1200
    assert len({request.delivery_id for request in receiver.received}) == len(receiver.received) == 1200
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_what_is_sent_is_unrecorded_until_it_is_recorded_and_nothing_is_after_a_run(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(5)
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer)
    running = threading.Thread(target=engine.run, kwargs={"seconds": 60})
    running.start()
    wait_for(lambda: len(receiver.received) == 5)
    held = engine.unrecorded
    may_answer.set()
    running.join()

    assert held == {(delivery.id, 1) for delivery in deliveries()}
    assert engine.unrecorded == frozenset()
    assert len(attempts()) == 5


def test_answers_that_come_during_an_outage_are_unrecorded_until_it_is_over(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database_url: str
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send(3)
    sent = {(delivery.id, 1) for delivery in deliveries()}
    db.session.remove()
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer)
    running = threading.Thread(target=engine.run, kwargs={"seconds": 60})
    running.start()
    wait_for(lambda: len(receiver.received) == 3)
    with outage(database_url):
        may_answer.set()
        wait_for(lambda: len(engine._outcomes.unwritten) == 3)
        held = engine.unrecorded
    running.join()
    db.engine.dispose()  # the connections that the database hung up on

    assert held == sent
    assert engine.unrecorded == frozenset()


@pytest.mark.parametrize("database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.2)], indirect=True)
def test_answers_that_come_during_an_outage_are_written_after_it(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send(5)
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer)
    running = threading.Thread(target=engine.run, kwargs={"seconds": 60})
    running.start()
    wait_for(lambda: len(receiver.received) == 5)

    with outage(database_url):
        may_answer.set()
        wait_for(lambda: len(engine._outcomes.unwritten) == 5 and "database_unavailable" in caplog.messages)
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
    receiver.answer = answer_after(may_answer)
    with Redis.from_url(settings.redis_url) as redis:
        while len(receiver.received) < 3:
            redis.flushdb()
            result = engine.run(seconds=0.2)
            claimed += result.claimed
            assert result.recorded == 0

        assert redis.llen(QUEUE) == 1  # somebody has to go on claiming
    assert claimed == 3
    may_answer.set()
    while engine.work_in_flight():
        pass
    assert [attempt.outcome for attempt in attempts()] == ["success"] * 3
    assert not queued()


def test_a_slow_endpoint_does_not_hold_up_the_others_when_a_runs_time_is_over(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    may_answer, is_over, ended = threading.Event(), threading.Event(), []

    def runs() -> None:
        while not is_over.is_set():
            ended.append(engine.run(seconds=0.3))

    with Receiver() as slow:
        slow.answer = answer_after(may_answer)
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
            wait_for(lambda: len(receiver.received) == 2)
            assert engine.unrecorded  # what the slow one has still
        finally:
            may_answer.set()
            is_over.set()
            running.join()


def test_a_run_without_a_free_slot_calls_one_more_worker(
    workspace: Workspace,
    receiver: Receiver,
    settings: Settings,
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(in_flight=8)
    may_answer = threading.Event()

    def has_taken_over() -> bool:
        if len(receiver.received) <= 8:
            return False
        may_answer.set()
        return True

    receiver.answer = answer_after(may_answer)
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
            other.run(seconds=300, should_stop=has_taken_over)
        finally:
            may_answer.set()
            running.join()
    assert len(receiver.received) > 8


def test_what_is_in_flight_is_released_when_the_worker_has_to_stop(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine = make_engine(limits=SHORT_GRACE)
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(3)
    receiver.answer = Answer(delay_seconds=30)

    engine.run(seconds=60, should_stop=lambda: len(receiver.received) == 3)

    db.session.rollback()
    for row in db.session.scalars(select(PendingDelivery)):
        assert row.claimed_at is None
        assert row.next_attempt_at <= clock.now()
    assert {delivery.attempt_count for delivery in deliveries()} == {0}


@pytest.mark.parametrize(
    "database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.2, short_lock_seconds=0.2)], indirect=True
)
def test_what_the_database_does_not_take_back_at_once_is_released_a_moment_later(
    workspace: Workspace,
    receiver: Receiver,
    make_engine: MakeEngine,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = make_engine(limits=replace(SHORT_GRACE, release_seconds=120))
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(3)
    db.session.remove()
    receiver.answer, is_to_stop = Answer(delay_seconds=30), threading.Event()
    options = {"seconds": 60, "should_stop": is_to_stop.is_set}
    running = threading.Thread(target=engine.run, kwargs=options)
    running.start()
    wait_for(lambda: len(receiver.received) == 3)
    with outage(database_url):
        is_to_stop.set()
        wait_for(lambda: not engine.unrecorded)
        caplog.clear()
        wait_for(lambda: "database_unavailable" in caplog.messages)
    running.join()
    db.engine.dispose()  # the connections that the database hung up on

    assert claimed_at() == [None] * 3


@pytest.mark.parametrize(
    "database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.2, short_lock_seconds=0.2)], indirect=True
)
def test_what_a_run_could_not_release_the_next_one_releases(
    workspace: Workspace, engine: DeliveryEngine, database: WriteDatabase, database_url: str
) -> None:
    workspace.endpoint("https://receiver.test")
    workspace.send(2)
    engine._dispatcher.add(claim(database, 2))
    db.session.remove()
    with outage(database_url):
        engine.run(seconds=0)
    db.engine.dispose()  # the connections that the database hung up on
    assert None not in claimed_at()

    # The database is left alone for a moment.
    wait_for(lambda: engine.run(seconds=0) and claimed_at() == [None, None])

    later = clock.now() + timedelta(hours=1)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=later))
    engine.run(seconds=0)  # they are no longer its own to release
    db.session.rollback()
    assert set(db.session.scalars(select(PendingDelivery.next_attempt_at))) == {later}


def claimed_at() -> list[datetime | None]:
    db.session.rollback()
    return list(db.session.scalars(select(PendingDelivery.claimed_at)))


def test_what_a_worker_releases_at_its_end_wakes_another(
    workspace: Workspace,
    receiver: Receiver,
    make_engine: MakeEngine,
    settings: Settings,
) -> None:
    engine = make_engine(limits=SHORT_GRACE)
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(3)
    receiver.answer = Answer(delay_seconds=30)
    with Redis.from_url(settings.redis_url) as redis:

        def should_stop() -> bool:
            redis.flushdb()  # the last time when the run is over, and another worker may have had its job
            return len(receiver.received) == 3

        engine.run(seconds=60, should_stop=should_stop)
        assert redis.llen(QUEUE) == 1
