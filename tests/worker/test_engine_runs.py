"""What a run of the delivery engine counts, when it rests, and how it ends."""

import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import make_url, update

from tests.conftest import MakeEngine, Workspace, new_engine
from tests.failing import failing
from tests.receivers import Answer, Receiver
from tests.waiting import wait_for
from tests.worker.attempted import attempts, deliveries
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint, EndpointState
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine, RunResult
from webhooks_app.worker.engine_limits import BackoffLimits, BufferLimits, ClaimLimits, EngineLimits

pytestmark = pytest.mark.usefixtures("queue_matches_states")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
QUEUE = "rq:queue:deliveries"
ENDPOINTS_READ = "SELECT endpoints.id, endpoints.updated_at"
EVENTS_READ = "SELECT events.id, events.body"


class Turns:
    """Counts the turns of a run, which asks before each whether it should stop."""

    def __init__(self, act: Callable[[int], None] = lambda _: None) -> None:
        self.count = 0
        self._act = act

    def __call__(self) -> bool:
        self.count += 1
        self._act(self.count)
        return False


def test_a_run_counts_what_it_claimed_and_recorded_itself(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    for count in (3, 2):
        workspace.send(count)
        assert engine.run(seconds=60) == RunResult(claimed=count, recorded=count)
    assert engine.run(seconds=60) == RunResult(claimed=0, recorded=0)


@on_sqlite
def test_an_engine_says_what_it_is_doing(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine, seen = make_engine(in_flight=7), list[dict[str, Any]]()
    idle = engine.describe()
    assert idle.pop("silent_seconds") >= 0
    assert idle == {"in_flight": 0, "capacity": 7, "endpoints": []}
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(3)
    engine.run(seconds=60, should_stop=Turns(lambda _: seen.append(engine.describe())))
    busiest = max(seen, key=lambda each: each["in_flight"])
    [[name, in_flight, limit]] = busiest["endpoints"]
    assert (name, in_flight) == (endpoint_id, busiest["in_flight"])
    assert 1 <= in_flight <= limit


@on_sqlite
def test_a_run_with_nothing_to_do_rests_between_two_looks(make_engine: MakeEngine) -> None:
    engine = make_engine(limits=EngineLimits(idle_seconds=0.1, notified_seconds=0.1, linger_seconds=1.0))
    turns = Turns()
    engine.run(seconds=60, should_stop=turns)
    # Ten rests, a turn for each of four scans, and some that a wake-up ends early; one where all stood still.
    assert 1 <= turns.count <= 30


def test_outcomes_wait_for_others_though_nothing_is_in_flight_but_not_for_long(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, wake_ups: WakeUps
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    # A run that did not look at the age of its outcomes would wait for an hour.
    limits = EngineLimits(notified_seconds=3600, idle_seconds=3600, buffer=BufferLimits(oldest_seconds=0.2))
    engine = make_engine(limits=limits)
    is_recorded = threading.Event()
    running = threading.Thread(target=engine.run, kwargs={"seconds": 60, "should_stop": is_recorded.is_set})
    running.start()
    wait_for(attempts)
    is_recorded.set()
    while running.is_alive():
        wake_ups.wake_worker()
        running.join(0.1)
    [recorded] = attempts()
    assert recorded.outcome == OutcomeClass.SUCCESS


def test_young_outcomes_are_not_written_though_nothing_is_in_flight_until_the_run_ends(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    buffer = BufferLimits(oldest_seconds=3600)
    engine = make_engine(limits=EngineLimits(notified_seconds=0.01, idle_seconds=0.01, buffer=buffer))
    turns_with_outcome: list[int] = []

    def should_stop() -> bool:
        if engine.unrecorded and not engine.describe()["in_flight"]:
            turns_with_outcome.append(len(attempts()))
        return len(turns_with_outcome) >= 3

    engine.run(seconds=60, should_stop=should_stop)
    assert turns_with_outcome[:3] == [0, 0, 0]
    assert len(attempts()) == 1


@on_sqlite
def test_a_run_rests_while_the_database_is_left_alone(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, database_url: str
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    limits = EngineLimits(
        idle_seconds=0.1, notified_seconds=0.1, backoff=BackoffLimits(first_seconds=60, longest_seconds=60)
    )
    moments: list[float] = []
    engine, turns = make_engine(limits=limits), Turns(lambda _: moments.append(time.monotonic()))
    path = str(make_url(database_url).database)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        engine.run(seconds=60, should_stop=lambda: turns() or turns.count > 10)
    assert moments[-1] - moments[1] > 0.5  # behind the first turn, which waits for the lock
    assert receiver.received == []


@on_sqlite
def test_an_error_that_nobody_foresaw_calls_for_no_further_run(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, settings: Settings
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()

    def fail() -> bool:
        raise RuntimeError("unforeseen")

    with Redis.from_url(settings.redis_url) as redis:
        redis.flushdb()
        with pytest.raises(RuntimeError):
            engine.run(seconds=60, should_stop=fail)
        assert redis.llen(QUEUE) == 0  # the next run would meet the same error at once


def test_what_is_answered_shortly_after_the_worker_has_to_stop_is_recorded(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine = make_engine(limits=EngineLimits(stop_grace_seconds=1200))
    workspace.endpoint(receiver.url)
    workspace.send(3)
    receiver.answer = Answer(delay_seconds=0.5)

    began = time.monotonic()
    result = engine.run(seconds=60, should_stop=lambda: len(receiver.received) == 3)

    assert result.recorded == 3
    assert {attempt.outcome for attempt in attempts()} == {"success"}
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert time.monotonic() - began < 600  # it does not wait the whole grace


def test_what_a_run_claims_it_sends_before_it_looks_whether_to_stop(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    turns = Turns()

    engine.run(seconds=60, should_stop=lambda: turns() or turns.count > 1)

    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_what_could_not_be_loaded_when_it_was_claimed_is_sent_once_it_can(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, database: WriteDatabase
) -> None:
    backoff = BackoffLimits(first_seconds=0, longest_seconds=0)
    # It rests for longer than it would stay without work.
    engine = make_engine(
        limits=EngineLimits(backoff=backoff, idle_seconds=1.0, notified_seconds=1.0, linger_seconds=0.5)
    )
    workspace.endpoint(receiver.url)
    workspace.send()
    with failing(database, ENDPOINTS_READ, times=1):
        engine.run(seconds=60)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_what_a_run_could_not_load_at_all_the_next_one_sends_once(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, database: WriteDatabase
) -> None:
    engine = make_engine(limits=EngineLimits(backoff=BackoffLimits(first_seconds=0, longest_seconds=0)))
    for _ in range(5):  # from so many a claim brings no bodies
        workspace.endpoint(receiver.url)
    workspace.send(2)
    turns = Turns()
    with failing(database, EVENTS_READ):
        assert engine.run(seconds=60, should_stop=lambda: turns() or turns.count > 20).claimed == 10

    engine.run(seconds=60)

    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 10


def test_what_was_claimed_of_an_endpoint_that_is_enabled_meanwhile_is_sent_in_the_same_run(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()

    def set_state(state: EndpointState) -> None:
        with database.begin() as connection:
            connection.execute(update(Endpoint).values(state=state, updated_at=clock.now()))

    def enable(turn: int) -> None:
        if turn == 2:  # it was claimed in the first
            set_state(EndpointState.ENABLED)

    set_state(EndpointState.DISABLED)
    engine = make_engine(limits=EngineLimits(claims=ClaimLimits(scan_interval_seconds=60)))
    engine.run(seconds=60, should_stop=Turns(enable))

    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_a_worker_that_ends_closes_its_connections(app: Flask, workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        workspace.endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/hooks")
        workspace.send()
        left: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(30)
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                answered.set()
                left.append(connection.recv(65_536))

        answered, serving = threading.Event(), threading.Thread(target=serve)
        serving.start()
        with new_engine(app) as engine:
            engine.run(seconds=60)
            assert answered.wait(30)
            assert left == []  # it is kept for the next delivery
        serving.join()
    assert left == [b""]
