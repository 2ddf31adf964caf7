"""How often a lone event asks PostgreSQL, as libpq's own trace has it, and what each question runs under."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from faults.pooler import PgBouncer
from tests.conftest import Workspace
from tests.db.conftest import StartPooler
from tests.patience import PATIENT_LIMITS
from tests.postgresql_databases import autocommit
from tests.receivers import Answer, Received, Receiver
from webhooks_app.db import deadlines, engines
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.claimer import Claimer
from webhooks_app.worker.concurrency import Concurrency
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import ClaimLimits, ConcurrencyLimits

LIMITS = replace(PATIENT_LIMITS, lock_seconds=50)
EVENT = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "queued"})

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class RoundTrips:
    """The messages upon which an answer is waited for: a query of either protocol."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def count(self) -> int:
        lines = (line.split("\t") for line in self._path.read_text().splitlines())
        return sum(fields[0] == "F" and fields[2] in ("Query", "Sync") for fields in lines)


@contextmanager
def round_trips(engine: Engine, folder: Path) -> Iterator[RoundTrips]:
    """Count those of the engine's connections that are taken from its pool in the block."""
    path = folder / "trace"
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)

    def trace(connection: Any, *_: object) -> None:
        connection.pgconn.trace(descriptor)
        connection.pgconn.set_trace_flags(1)  # no times

    def end(connection: Any, *_: object) -> None:
        connection.pgconn.untrace()

    # Before the one that asks a connection whether it lives.
    event.listen(engine, "checkout", trace, insert=True)
    event.listen(engine, "checkin", end)
    try:
        yield RoundTrips(path)
    finally:
        event.remove(engine, "checkout", trace)
        event.remove(engine, "checkin", end)
        os.close(descriptor)


@pytest.fixture
def pooled(database_url: str, start_pooler: StartPooler) -> Iterator[Engine]:
    pooler: PgBouncer = start_pooler(database_url)
    url = pooler.url.replace("postgresql://", "postgresql+psycopg://")
    engine = engines.open_engine(url, waits_for_disk=True, limits=LIMITS)
    yield engine
    engine.dispose()


@pytest.fixture
def unpooled(database_url: str) -> Iterator[Engine]:
    engine = engines.open_engine(database_url, waits_for_disk=False, limits=LIMITS)
    yield engine
    engine.dispose()


def rename(database: WriteDatabase, name: str) -> dict[str, str]:
    """Rename all workspaces by a transaction's only statement; return what that ran under."""
    settings = ("synchronous_commit", "lock_timeout", "statement_timeout")
    shown = ", ".join(f"current_setting('{each}')" for each in settings)
    with database.begin_single() as connection:
        row = connection.execute(
            text(f"UPDATE workspaces SET name = :name RETURNING {shown}"), {"name": name}
        )
        return dict(zip(settings, row.one(), strict=True))


def names(databases: Databases) -> list[str]:
    with databases.read.connect() as connection:
        return list(connection.execute(text("SELECT name FROM workspaces")).scalars())


@pytest.mark.parametrize(("idle_check_seconds", "count"), [(3600, 1), (0, 2)], ids=["a moment", "longer"])
def test_a_connection_that_was_idle_is_asked_whether_it_lives_after_a_while_only(
    workspace: Workspace, database_url: str, tmp_path: Path, idle_check_seconds: int, count: int
) -> None:
    limits = replace(LIMITS, idle_check_seconds=idle_check_seconds)
    engine = engines.open_engine(database_url, waits_for_disk=False, limits=limits)
    database = engines.databases_of(engine).write
    for expected in (1, count):  # the first one was just opened
        with round_trips(engine, tmp_path) as counted:
            rename(database, "Renamed")
        assert counted.count == expected
    engine.dispose()


def test_a_single_statement_is_committed_by_itself_where_the_session_is_our_own(
    workspace: Workspace, databases: Databases, unpooled: Engine, tmp_path: Path
) -> None:
    database = engines.databases_of(unpooled).write
    with round_trips(unpooled, tmp_path) as counted:
        under = rename(database, "Renamed")

    assert counted.count == 1
    assert names(databases) == ["Renamed"]
    assert under == {"synchronous_commit": "off", "lock_timeout": "50s", "statement_timeout": "1min"}


def test_behind_a_pooler_a_single_statement_has_a_transaction_around_it(
    workspace: Workspace, databases: Databases, pooled: Engine, tmp_path: Path
) -> None:
    database = engines.databases_of(pooled).write
    with round_trips(pooled, tmp_path) as counted:
        under = rename(database, "Renamed")

    assert counted.count == 3
    assert names(databases) == ["Renamed"]
    assert under == {"synchronous_commit": "on", "lock_timeout": "50s", "statement_timeout": "1min"}


def test_with_little_time_left_a_single_statement_may_take_no_longer(
    workspace: Workspace, unpooled: Engine
) -> None:
    database = engines.databases_of(unpooled).write
    with deadlines.within(20):
        under = rename(database, "Renamed")

    assert under["statement_timeout"] == "20s" or under["statement_timeout"].endswith("ms")
    assert rename(database, "Renamed")["statement_timeout"] == "1min"


def test_a_single_statement_that_is_committed_is_no_error_when_its_time_is_over(
    workspace: Workspace, databases: Databases, unpooled: Engine
) -> None:
    with ExitStack() as late, engines.databases_of(unpooled).write.begin_single() as connection:
        connection.execute(text("UPDATE workspaces SET name = 'Renamed'"))
        late.enter_context(deadlines.within(0))

    assert names(databases) == ["Renamed"]


def test_what_the_database_prefers_for_transactions_holds_for_no_single_statement(
    database_url: str, unpooled: Engine
) -> None:
    name = f'"{unpooled.url.database}"'
    preferred = {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"}
    autocommit(database_url, *(f"ALTER DATABASE {name} SET {each} = {preferred[each]}" for each in preferred))
    try:
        with engines.databases_of(unpooled).write.begin_single() as connection:
            shown = (
                "SELECT current_setting('transaction_isolation'), current_setting('transaction_deferrable')"
            )
            assert connection.execute(text(shown)).one() == ("read committed", "off")
    finally:
        autocommit(database_url, *(f"ALTER DATABASE {name} RESET {each}" for each in preferred))


def test_a_single_statement_that_is_refused_leaves_its_connection_usable(
    workspace: Workspace, databases: Databases, unpooled: Engine
) -> None:
    database = engines.databases_of(unpooled).write
    with pytest.raises(DBAPIError), database.begin_single() as connection:
        connection.execute(text("UPDATE workspaces SET name = NULL"))

    rename(database, "Renamed")
    assert names(databases) == ["Renamed"]


def test_a_lone_event_takes_two_questions_of_the_web(
    app: Flask, workspace: Workspace, receiver: Receiver, tmp_path: Path
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()  # from here on the token's last use is on record
    with round_trips(db.engine, tmp_path) as counted:
        accepted = services(app).group_commit.accept(Submission(workspace.id, [EVENT]))

    assert [each.deliveries for each in accepted] == [1]
    assert counted.count == 2


def test_a_lone_delivery_takes_two_questions_of_a_worker(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, tmp_path: Path
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    engine.run(seconds=60)  # from here on the worker knows the endpoint
    workspace.send()
    until_sent: list[int] = []

    with round_trips(db.engine, tmp_path) as counted:

        def answer(_request: Received) -> Answer:
            until_sent.append(counted.count)
            return Answer()

        receiver.answer = answer
        engine.run(seconds=60)

    assert until_sent == [2]


def test_a_worker_that_is_told_where_takes_one_question(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps, tmp_path: Path
) -> None:
    workspace.endpoint("https://receiver.test")
    claimer = Claimer(
        databases,
        wake_ups,
        Concurrency(16, ConcurrencyLimits()),
        lease=timedelta(seconds=60),
        limits=ClaimLimits(),
    )
    claimer.start_run()
    claimer.claim(16, is_sending=False)
    workspace.send()
    with round_trips(db.engine, tmp_path) as counted:
        claimed = claimer.claim(16, is_sending=False)

    assert [each.body is not None for each in claimed or ()] == [True]
    assert counted.count == 1
