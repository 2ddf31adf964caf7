"""SQLite's one write lock between processes, which cannot wait on each other's turn as threads do, and what
each connection is set to.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.exc import OperationalError

from tests.conftest import Workspace, deployed
from tests.waiting import wait_for
from webhooks_app import config
from webhooks_app.db import deadlines, engines
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

EVENTS = 150
# Commits come in runs, as whoever has just had the lock is the first to ask again.
TURNS = 6
# Accepts one event after the other, without a pause, for as long as it lives.
ACCEPTS_FOR_EVER = """
import sys
from tests.accepting import accept_events
from webhooks_app import config
from webhooks_app.events.submissions import NewEvent
from webhooks_app.services import open_services

found = open_services(config.read(), waits_for_disk=True)
event = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "queued"})
while True:
    accept_events(found.databases.write, found.wake_ups, sys.argv[1], [event])
"""


@contextmanager
def writer(workspace: Workspace, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", ACCEPTS_FOR_EVER, workspace.id]
    process = subprocess.Popen(command, cwd=config.ROOT, env=dict(os.environ) | environ)
    try:
        yield process
    finally:
        process.kill()
        process.wait(120)


def accepted_by(workspace: Workspace) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).where(Event.workspace_id == workspace.id)) or 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_two_processes_that_write_without_a_pause_neither_starves(
    make_workspace: Callable[[str], Workspace], database_url: str, redis_url: str, tmp_path: Path
) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    environ = deployed(database_url, redis_url, tmp_path)
    with writer(ours, environ) as one, writer(theirs, environ) as other:
        wait_for(lambda: accepted_by(ours) and accepted_by(theirs), 120)
        before = accepted_by(ours), accepted_by(theirs)
        # Each goes on while the other does; one that had waited for too long would have ended with an error.
        for workspace, count in zip((ours, theirs), before, strict=True):
            wait_for(lambda: accepted_by(workspace) >= count + EVENTS, 120)  # noqa: B023
        assert one.poll() is other.poll() is None
        assert _turns() >= TURNS


def _turns() -> int:
    """Count how often one process had its turn after the other."""
    db.session.rollback()
    order = db.session.scalars(select(Event.workspace_id).order_by(Event.id)).all()
    return sum(before != after for before, after in pairwise(order))


NAMES = text("SELECT name FROM workspaces")
BEGIN_WRITING = "BEGIN IMMEDIATE"


@pytest.fixture
def others(sqlite_url: str) -> Iterator[tuple[Engine, list[str]]]:
    """An engine as another process has it, and what it asks SQLite; it waits for long, or not at all."""
    limits = DatabaseLimits(lock_seconds=60, short_lock_seconds=0.0)
    engine, asked = engines.open_engine(sqlite_url, waits_for_disk=False, limits=limits), list[str]()
    event.listen(engine, "connect", lambda driver, _: driver.set_trace_callback(asked.append))
    yield engine, asked
    engine.dispose()


@pytest.fixture
def own(sqlite_url: str) -> Iterator[WriteDatabase]:
    engine = engines.open_engine(sqlite_url, waits_for_disk=False)
    yield engines.databases_of(engine).write
    engine.dispose()


def write_nothing(database: WriteDatabase) -> None:
    with database.begin():
        pass


def test_a_writer_asks_again_until_that_of_another_process_is_done(
    own: WriteDatabase, others: tuple[Engine, list[str]]
) -> None:
    engine, asked = others
    with ThreadPoolExecutor(1) as thread:
        with own.begin():
            waiting = thread.submit(write_nothing, engines.databases_of(engine).write)
            wait_for(lambda: asked.count(BEGIN_WRITING) >= 3 or waiting.done())
            assert not waiting.done()
        waiting.result(30)


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_writer_that_has_no_time_asks_once(
    own: WriteDatabase, others: tuple[Engine, list[str]], seconds: float
) -> None:
    engine, asked = others
    other = engines.databases_of(engine).write
    if seconds:
        other = other.with_short_lock_timeout()
    with own.begin(), deadlines.within(seconds), pytest.raises(OperationalError, match="locked"):
        write_nothing(other)
    assert asked.count(BEGIN_WRITING) == 1


def test_who_says_nothing_of_writing_reads_beside_a_writer(
    own: WriteDatabase, others: tuple[Engine, list[str]]
) -> None:
    engine, asked = others
    with own.begin(), engine.connect() as connection, deadlines.within(5):
        assert connection.execute(NAMES).all() == []
    assert asked[-3:] == ["BEGIN", str(NAMES), "ROLLBACK"]


@pytest.mark.parametrize(("waits_for_disk", "synchronous"), [(True, 2), (False, 1)], ids=["web", "worker"])
def test_what_a_connection_to_a_new_file_is_set_to(
    tmp_path: Path, waits_for_disk: bool, synchronous: int
) -> None:
    engine = engines.open_engine(f"sqlite:///{tmp_path / 'new.db'}", waits_for_disk=waits_for_disk)
    promised = {
        "auto_vacuum": 2,  # incremental
        "journal_mode": "wal",
        "synchronous": synchronous,  # FULL or NORMAL
        "foreign_keys": 1,
        "secure_delete": 1,
        "cache_size": -8000,  # KiB
        "journal_size_limit": 64 * 1024 * 1024,
    }

    def begin_otherwise(connection: Any, _record: object) -> None:  # as with SQLite of another build
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA secure_delete=OFF")

    event.listen(engine, "connect", begin_otherwise, insert=True)
    with engine.connect() as connection:
        found = {each: connection.exec_driver_sql(f"PRAGMA {each}").scalar_one() for each in promised}
    engine.dispose()
    assert found == promised


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("database_limits", [DatabaseLimits(lock_seconds=3600)], indirect=True)
@pytest.mark.usefixtures("workspace")
def test_a_connection_that_has_its_turn_does_not_wait_for_it_again(database: WriteDatabase) -> None:
    with database.begin() as connection:
        writing = connection.engine
    with writing.connect() as kept:
        for _ in range(2):
            with kept.begin():
                kept.execute(NAMES)
