"""A database that is silent: its host is cut off, it is stopped, or a statement of it takes too long."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from faults.network import Namespace
from faults.pooler import PgBouncer
from tests.conftest import Workspace
from tests.patience import PATIENT_LIMITS
from tests.waiting import wait_for
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.db import engines
from webhooks_app.db.circuit_breaker import BreakerLimits
from webhooks_app.db.database_limits import DEFAULT_LIMITS, MigrationLimits, web_limits, worker_limits
from webhooks_app.db.engines import Databases
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker import claims

T = TypeVar("T")
Timed = tuple[TestResponse, float]
Silence = tuple[PgBouncer, Callable[[], None], Callable[[], None]]

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

THREADS, CROWD = 8, 6
# What the web has, with less to wait for.
SHORT = replace(
    web_limits(THREADS), peer_silence_seconds=1, reach_seconds=2.0, statement_seconds=1.0, answer_seconds=1.5
)
# Who waits for that differs from who waits for a processor.
LONGER = replace(SHORT, peer_silence_seconds=5, reach_seconds=6.0, statement_seconds=5.0, answer_seconds=6.0)
PATIENT = replace(PATIENT_LIMITS, most_waiting=CROWD)
PROMISED_SECONDS = 5.0  # within which there is a 503
# By then a test has its answers on the busiest machine; the kernel keeps trying for a quarter of an hour.
PATIENCE_SECONDS = 120

with_short_limits = pytest.mark.parametrize("database_limits", [SHORT], indirect=True)


@pytest.fixture(params=["host cut off", "server stopped"])
def silence(request: pytest.FixtureRequest, database_url: str) -> Silence:
    """A pooler before the database, how to have it fall silent, and how to have it speak again."""
    if request.param == "host cut off":
        host: Namespace = request.getfixturevalue("remote_host")
        return request.getfixturevalue("remote_pooler")(database_url), host.cut, host.mend
    pooler: PgBouncer = request.getfixturevalue("start_pooler")(database_url)
    return pooler, lambda: pooler.signal(signal.SIGSTOP), lambda: pooler.signal(signal.SIGCONT)


@pytest.fixture
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    if "silence" not in request.fixturenames:
        return settings
    pooler, _, _ = request.getfixturevalue("silence")
    return replace(settings, database_url=pooler.url.replace("postgresql://", "postgresql+psycopg://"))


@only_postgresql
@pytest.mark.parametrize("database_limits", [LONGER], indirect=True)
def test_a_silent_database_is_503_in_time_for_everybody(
    app: Flask, workspace: Workspace, silence: Silence, caplog: pytest.LogCaptureFixture
) -> None:
    _, fall_silent, speak = silence
    in_threads(lambda: workspace.send())  # so that there are open connections

    fall_silent()
    answers = in_threads(lambda: post(workspace), times=3)
    answers += in_threads(lambda: get(app, "/invitations/none"))
    answers += in_threads(lambda: get(app, "/healthz/web"))

    refused = [each for each in caplog.records if getattr(each, "error", None) == "WaitRefused"]
    assert len(answers) / 2 < len(refused) < len(answers)  # most need not wait, as others have
    assert {response.status_code for response, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < PATIENCE_SECONDS
    assert {response.headers.get("Retry-After") for response, _ in answers} == {"1"}
    assert [get(app, path)[0].status_code for path in ("/livez", "/static/favicon.svg")] == [200, 200]
    speak()
    wait_for(lambda: post(workspace)[0].status_code == 202)


@only_postgresql
@pytest.mark.parametrize("silence", ["host cut off"], indirect=True)
@pytest.mark.parametrize("database_limits", [replace(SHORT, answer_seconds=None)], indirect=True)
def test_the_kernel_finds_a_host_that_is_gone(databases: Databases, silence: Silence) -> None:
    _, cut, _ = silence
    with databases.read.connect_autocommit() as connection:
        connection.execute(text("SELECT 1"))
        cut()
        with pytest.raises(OperationalError, match="timed out"):
            connection.execute(text("SELECT 1"))


@only_postgresql
@pytest.mark.parametrize("silence", ["server stopped"], indirect=True)
@pytest.mark.parametrize("database_limits", [PATIENT], indirect=True)
def test_a_thread_that_joins_a_crowd_is_soon_free(
    workspace: Workspace, databases: Databases, silence: Silence
) -> None:
    _, fall_silent, speak = silence
    open_connections(databases, THREADS)
    fall_silent()
    with ThreadPoolExecutor(THREADS) as threads:
        posts = [threads.submit(post, workspace) for _ in range(25)]
        wait_for(lambda: sum(each.done() for each in posts) >= 25 - THREADS)
        speak()
    statuses = [each.result()[0].status_code for each in posts]

    # On a busy machine one more may be let wait, to try whether the database answers again.
    assert CROWD <= statuses.count(202) <= THREADS
    assert statuses.count(503) == 25 - statuses.count(202)


def open_connections(databases: Databases, count: int) -> None:
    with ExitStack() as connections:
        for _ in range(count):
            connections.enter_context(databases.read.connect())


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def in_threads(act: Callable[[], T], *, times: int = 1) -> list[T]:
    """Act in as many threads as the web has, all at once; what came of each."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(lambda _: act(), range(THREADS * times)))


def post(workspace: Workspace) -> Timed:
    body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    client = workspace.app.test_client()
    return timed(lambda: client.post("/api/v1/events", json=body, headers=workspace.headers))


def get(app: Flask, path: str) -> Timed:
    return timed(lambda: app.test_client().get(path, buffered=True))


def timed(act: Callable[[], TestResponse]) -> Timed:
    """What was answered, and after how many seconds."""
    began = time.monotonic()
    return act(), time.monotonic() - began


@only_postgresql
@pytest.mark.parametrize("database_limits", [replace(SHORT, answer_seconds=60.0)], indirect=True)
def test_a_statement_that_takes_too_long_is_ended_and_its_connection_stays(databases: Databases) -> None:
    with databases.read.connect() as connection:
        own_id = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with pytest.raises(OperationalError, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(60)"))
    with databases.read.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == own_id


@only_postgresql
@with_short_limits
def test_a_statement_that_nobody_waits_for_any_more_does_not_go_on(
    databases: Databases, database_url: str
) -> None:
    with databases.read.connect_autocommit() as connection:
        connection.execute(text("SET statement_timeout TO 0"))  # as if the server did not keep to its own
        own_id = {"id": connection.execute(text("SELECT pg_backend_pid()")).scalar_one()}
        with pytest.raises(OperationalError, match=r"no answer for 1\.5 seconds"):
            connection.execute(text("SELECT pg_sleep(60)"))

    is_active = "SELECT count(*) FROM pg_stat_activity WHERE pid = %(id)s AND state = 'active'"
    with psycopg.connect(plain(database_url), autocommit=True) as other:
        wait_for(lambda: other.execute(is_active, own_id).fetchone() == (0,))


@only_postgresql
def test_a_migration_takes_its_time(databases: Databases) -> None:
    with databases.write.without_time_limit().begin() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "0"
    with databases.write.begin() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() != "0"


@only_postgresql
def test_rows_of_a_client_that_says_nothing_are_free_again(
    workspace: Workspace, databases: Databases, database_url: str
) -> None:
    impatient = replace(PATIENT_LIMITS, idle_transaction_seconds=0.3)
    silent = engines.open_engine(database_url, waits_for_disk=False, limits=impatient)
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/")
    workspace.send(5)

    def claim(connection: WriteConnection) -> int:
        lease = timedelta(seconds=60)
        return len(claims.claim_due(connection, {endpoint_id: 10}, now=clock.now(), lease=lease))

    def claim_and_commit() -> int:
        with databases.write.begin() as connection:
            return claim(connection)

    def claim_and_say_nothing() -> None:
        with engines.databases_of(silent).write.begin() as connection:
            assert claim(connection) == 5
            wait_for(claim_and_commit)

    with pytest.raises(OperationalError):
        claim_and_say_nothing()
    silent.dispose()


def test_the_longest_way_to_an_answer_is_shorter_than_promised() -> None:
    limits = DEFAULT_LIMITS
    for seconds in (limits.reach_seconds, limits.peer_silence_seconds, limits.lock_seconds):
        assert seconds < PROMISED_SECONDS
    assert limits.statement_seconds is not None
    assert limits.answer_seconds is not None
    assert limits.statement_seconds < limits.answer_seconds < PROMISED_SECONDS
    assert MigrationLimits().lock_seconds < BreakerLimits(1).excess_wait_seconds


@pytest.mark.parametrize("lease_seconds", [1, 2, 60, 3600])
def test_a_lost_workers_rows_are_free_within_a_lease_and_a_half(lease_seconds: int) -> None:
    idle_seconds = worker_limits(lease_seconds).idle_transaction_seconds
    assert idle_seconds is not None
    assert idle_seconds <= lease_seconds / 2
