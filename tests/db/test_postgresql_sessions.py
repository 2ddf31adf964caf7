"""Through a pooler in transaction mode: each transaction says what it runs under and leaves nothing."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from faults.pooler import PgBouncer
from tests.conftest import Workspace, alone
from tests.db.conftest import StartPooler
from tests.receivers import Receiver
from tests.waiting import wait_for
from tests.worker.attempted import deliveries
from webhooks_app import tasks
from webhooks_app.config import Settings
from webhooks_app.db import deadlines, engines, postgresql_sessions, schema_version
from webhooks_app.db.database_limits import DatabaseLimits, worker_limits
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import DeliveryState, Event
from webhooks_app.extensions import db, services
from webhooks_app.services import Services
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

# What an earlier release, or another program, may have left in a session of the pooler's.
LEFT_BEHIND = {
    "synchronous_commit": "off",
    "lock_timeout": "0",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_user_timeout": "0",
    "row_security": "off",
    "array_nulls": "off",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
}
# What would keep transactions from doing anything, or have them do it elsewhere or otherwise.
HOSTILE = (
    *(f"CREATE TEMPORARY TABLE {table} (id text)" for table in ("events", "workspaces", "api_tokens")),
    *(f"CREATE TEMPORARY TABLE {table} (id text)" for table in ("pending_deliveries", "alembic_version")),
    "SET search_path TO elsewhere",
    "SET datestyle TO 'SQL, DMY'",
    "SET default_transaction_isolation TO serializable",
    "SET default_transaction_deferrable TO on",
    "SET default_transaction_read_only TO on",
    "SET lock_timeout TO 1",
    "SET ROLE nobody_here",
    SLOWEST := "SET statement_timeout TO 1",
)


@pytest.fixture
def server_connections(request: pytest.FixtureRequest) -> int:
    """How many connections the pooler keeps; a test that needs to know which is parametrized with 1."""
    count: int = getattr(request, "param", 4)
    return count


@pytest.fixture
def pooler(database_url: str, start_pooler: StartPooler, server_connections: int) -> PgBouncer:
    return start_pooler(database_url, server_connections=server_connections)


@pytest.fixture
def settings(settings: Settings, pooler: PgBouncer) -> Settings:
    return replace(settings, database_url=with_driver(pooler.url))


@pytest.fixture
def worker_services(app: Flask, settings: Settings) -> Iterator[Services]:
    """What a worker process opens, beside the web's."""
    limits = worker_limits(settings.lease_seconds)
    engine = engines.open_engine(settings.database_url, waits_for_disk=False, limits=limits)
    yield replace(services(app), databases=engines.databases_of(engine))
    engine.dispose()


def in_force(connection: Connection) -> dict[str, str]:
    return {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in LEFT_BEHIND}


@pytest.fixture
def foreign(pooler: PgBouncer) -> Iterator[psycopg.Connection]:
    """Another program behind the same pooler."""
    with psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


@pytest.mark.parametrize("database_limits", [DatabaseLimits()], indirect=True)
@pytest.mark.parametrize("server_connections", [1], indirect=True)
def test_a_commit_of_the_web_waits_for_the_disk_whatever_others_left(
    databases: Databases, foreign: psycopg.Connection
) -> None:
    for name, value in LEFT_BEHIND.items():
        foreign.execute(f"SET {name} TO {value}")

    with databases.write.begin() as connection:
        assert in_force(connection) == {
            "synchronous_commit": "on",
            "lock_timeout": "3500ms",
            "statement_timeout": "4s",
            "idle_in_transaction_session_timeout": "15s",
            "tcp_user_timeout": "0",  # to PostgreSQL the pooler is a Unix socket
            "row_security": "on",
            "array_nulls": "on",
            "extra_float_digits": "1",
            "standard_conforming_strings": "on",
        }


@pytest.mark.parametrize("server_connections", [1], indirect=True)
def test_whatever_others_left_events_are_accepted_and_delivered(
    workspace: Workspace,
    worker_services: Services,
    settings: Settings,
    receiver: Receiver,
    pooler: PgBouncer,
    database_url: str,
) -> None:
    workspace.endpoint(receiver.url)
    engine = tasks.build_engine(worker_services)
    with foreign_role(database_url):
        for statement in HOSTILE:
            with psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as foreign:
                foreign.execute(statement)
            if statement == SLOWEST:
                wait_for(lambda: is_accepted(workspace))
            else:
                assert is_accepted(workspace), statement
            wait_for(lambda: is_all_delivered(engine))
        schema_version.require_by_url(settings.database_url)
    engine.close()
    assert len(receiver.received) == len(HOSTILE)


def is_accepted(workspace: Workspace) -> bool:
    """Whether an event that is sent now is accepted: BEGIN itself may take more than a millisecond."""
    body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    client = workspace.app.test_client()
    return client.post("/api/v1/events", json=body, headers=workspace.headers).status_code == 202


def is_all_delivered(engine: DeliveryEngine) -> bool:
    engine.run(seconds=60)
    states = {each.state for each in deliveries()}
    db.session.rollback()  # the pooler's only connection is free again
    return states == {DeliveryState.DELIVERED}


@contextmanager
def foreign_role(url: str) -> Iterator[None]:
    """A role that may do nothing, for a session of the pooler's to be left in."""
    own = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    with alone("foreign-role"), own as connection:  # roles belong to the whole server
        connection.execute("CREATE ROLE nobody_here")
        try:
            yield
        finally:
            connection.execute("DROP ROLE nobody_here")


@pytest.mark.parametrize("server_connections", [1], indirect=True)
def test_a_single_select_relies_on_nothing_of_the_session(
    workspace: Workspace, databases: Databases, foreign: psycopg.Connection
) -> None:
    foreign.execute("SET search_path TO elsewhere")
    with databases.read.connect_autocommit() as connection:
        assert connection.execute(text("SELECT id FROM workspaces")).scalar_one() == workspace.id


def test_a_database_that_is_read_only_on_purpose_stays_so(databases: Databases, database_url: str) -> None:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as admin:
        [(name,)] = admin.execute("SELECT current_database()").fetchall()
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        try:
            engine = engines.open_engine(database_url, waits_for_disk=True)
            with engines.databases_of(engine).write.begin() as connection:
                assert connection.execute(text("SHOW transaction_read_only")).scalar_one() == "on"
            engine.dispose()
        finally:
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')


def test_statements_are_prepared_only_where_no_pooler_is(pooler: PgBouncer, database_url: str) -> None:
    assert [is_prepared(url) for url in (database_url, pooler.url)] == [True, False]


def is_prepared(url: str) -> bool:
    """Whether what is run again and again is prepared after a while."""
    engine = engines.open_engine(with_driver(url), waits_for_disk=True)
    with engines.databases_of(engine).read.connect_autocommit() as connection:
        for _ in range(20):
            connection.execute(text("SELECT name FROM workspaces WHERE id = :id"), {"id": "none"}).all()
        count = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    engine.dispose()
    return bool(count > 0)


def with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.mark.parametrize("server_connections", [1], indirect=True)
def test_a_worker_leaves_nothing_behind(worker_services: Services, foreign: psycopg.Connection) -> None:
    def seen() -> list[object]:
        return [foreign.execute(f"SHOW {name}").fetchone() for name in LEFT_BEHIND]

    before = seen()
    with worker_services.write.begin() as writing:
        assert in_force(writing)["synchronous_commit"] == "off"
    with worker_services.read.connect_autocommit() as reading:
        for _ in range(20):  # psycopg prepares by itself what is run often
            reading.execute(text("SELECT name FROM workspaces WHERE id = :id"), {"id": "none"}).all()

    assert seen() == before
    assert foreign.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_events_of_many_producers_are_delivered_through_a_pooler(
    app: Flask, workspace: Workspace, worker_services: Services, receiver: Receiver
) -> None:
    for number in range(3):
        workspace.endpoint(receiver.url, name=str(number))
    engines = [tasks.build_engine(worker_services) for _ in range(2)]
    is_over = threading.Event()

    def deliver(number: int) -> None:
        while not is_over.is_set():
            engines[number].run(seconds=0.5, should_stop=is_over.is_set)

    workers = [threading.Thread(target=deliver, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    try:
        with ThreadPoolExecutor(8) as producers:
            accepted = list(producers.map(lambda _: workspace.send(), range(60)))
        wait_for(lambda: all(each.state is DeliveryState.DELIVERED for each in deliveries()), 120)
    finally:
        is_over.set()
        for worker in workers:
            worker.join()
        for engine in engines:
            engine.close()

    assert len(accepted) == 60
    assert len(deliveries()) == 180


def test_moments_are_utc_whatever_the_sessions_time_zone(workspace: Workspace, databases: Databases) -> None:
    workspace.send()
    created_at = text("SELECT created_at FROM events").columns(Event.created_at)
    with databases.read.connect() as connection:
        before = connection.execute(created_at).scalar_one()
        connection.execute(text("SET LOCAL TIME ZONE 'Asia/Kathmandu'"))
        after = connection.execute(created_at).scalar_one()

    assert before == after
    assert before.tzinfo is after.tzinfo is UTC


def test_a_style_of_dates_that_the_database_prefers_changes_nothing(database_url: str) -> None:
    url = with_driver(database_url)
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as admin:
        [(name,)] = admin.execute("SELECT current_database()").fetchall()
        admin.execute(f"ALTER DATABASE \"{name}\" SET datestyle = 'SQL, DMY'")
        engine = engines.open_engine(url, waits_for_disk=True)
        try:
            with engines.databases_of(engine).read.connect_autocommit() as connection:
                assert connection.execute(text("SELECT now()")).scalar_one().tzinfo is not None
        finally:
            admin.execute(f'ALTER DATABASE "{name}" RESET datestyle')
            engine.dispose()


def test_a_connection_notices_a_host_that_is_gone_unless_its_url_says_otherwise(database_url: str) -> None:
    limits = DatabaseLimits(peer_silence_seconds=30)
    arguments = postgresql_sessions.connect_arguments({"keepalives_count": "7"}, limits)
    probes = {name: value for name, value in arguments.items() if "keepalives" in name or "tcp" in name}
    assert probes == {"keepalives_idle": 29, "keepalives_interval": 1, "tcp_user_timeout": 30_000}
    shortest = postgresql_sessions.connect_arguments({}, DatabaseLimits(peer_silence_seconds=1))
    assert (shortest["keepalives_idle"], shortest["keepalives_count"]) == (1, 1)


@pytest.mark.parametrize(("sqlstate", "is_one"), [("55P03", True), ("40P01", True), ("23505", False)])
def test_who_gave_up_waiting_for_a_lock_is_told_by_the_code(
    database_url: str, sqlstate: str, is_one: bool
) -> None:
    error = OperationalError("SELECT 1", None, psycopg.errors.lookup(sqlstate)())
    assert postgresql_sessions.is_lock_timeout(error) is is_one


@pytest.mark.parametrize("waits_for_disk", [True, False])
@pytest.mark.parametrize("reads_whole_tables", [True, False])
def test_what_a_transaction_runs_under_is_what_it_is_for(
    database_url: str, waits_for_disk: bool, reads_whole_tables: bool
) -> None:
    limits = DatabaseLimits(reads_whole_tables=reads_whole_tables)
    settings = postgresql_sessions.settings_of_transaction(limits, waits_for_disk=waits_for_disk)
    assert settings["synchronous_commit"] == ("DEFAULT" if waits_for_disk else "off")
    assert settings["enable_seqscan"] == ("DEFAULT" if reads_whole_tables else "off")


@pytest.mark.parametrize("database_limits", [DatabaseLimits(statement_seconds=None)], indirect=True)
def test_a_statement_that_may_take_any_time_may_do_so_whatever_the_deadline(databases: Databases) -> None:
    with deadlines.within(60), databases.write.begin() as connection:
        limit = connection.execute(text("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'"))
        assert limit.scalar_one() == "0"
