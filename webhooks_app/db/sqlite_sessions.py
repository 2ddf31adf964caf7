"""SQLite's one write lock, shared well, and what each of its connections is set to."""

import sqlite3
import threading
import time
from typing import Any

from sqlalchemy import Connection, Engine, event

from webhooks_app.db import deadlines
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.transaction_options import HAS_SHORT_TIMEOUT, WRITES

# SQLite's own wait sleeps longer each time, up to 100 ms, so that the writer that has waited longest loses to
# one that has just come: under steady traffic that is seconds. So SQLite waits in small steps, and
# `WriteTurn` repeats them.
_STEP_MS = 10
# Instructions of SQLite's machine between two looks at the deadline: some tens of milliseconds.
_CHECK_INTERVAL = 1_000_000


def prepare(engine: Engine, *, waits_for_disk: bool, limits: DatabaseLimits) -> None:
    """Have the engine's writers take turns, and set each new connection up; see `engines.prepare`."""
    turn = WriteTurn(limits)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", turn.begin)
    event.listen(engine, "checkin", turn.end)
    if not waits_for_disk:
        event.listen(engine, "connect", _commit_without_waiting)


class WriteTurn:
    """Whose turn it is to write to SQLite, among the threads of this process.

    They wait for each other on a lock, as trying again and again would cost more than what they wait for;
    only the thread whose turn it is competes with other processes. It has its turn until its connection goes
    back to the pool.
    """

    def __init__(self, limits: DatabaseLimits) -> None:
        self._lock = threading.Lock()
        self._limits = limits

    def begin(self, connection: Connection) -> None:
        """Begin the transaction that the connection's options say: to write, to read, or none."""
        writes = connection.get_execution_options().get(WRITES, False)
        if not writes:
            if writes is not None:
                connection.exec_driver_sql("BEGIN")
            return
        seconds = self._seconds(connection)
        deadline = time.monotonic() + seconds
        info = connection.connection.info
        if not info.get(self) and self._lock.acquire(timeout=seconds):
            info[self] = True
        _begin_immediate(connection, deadline)

    def _seconds(self, connection: Connection) -> float:
        is_short = connection.get_execution_options().get(HAS_SHORT_TIMEOUT)
        seconds = self._limits.short_lock_seconds if is_short else self._limits.lock_seconds
        return deadlines.shorten(seconds) or 0.0

    def end(self, _connection: Any, record: Any) -> None:
        """End the connection's turn, if it has one, as it goes back to the pool."""
        if record.info.pop(self, None):
            self._lock.release()


def _begin_immediate(connection: Connection, deadline: float) -> None:
    driver: Any = connection.connection.dbapi_connection
    while time.monotonic() < deadline:
        try:
            driver.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                break
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises the driver's error as SQLAlchemy's


def _set_pragmas(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `WriteTurn` decides their kind.
    connection.isolation_level = None
    connection.set_progress_handler(deadlines.is_over, _CHECK_INTERVAL)
    # A new file only, before anything is in it: on any other this would take the write lock.
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # see `free_pages`
    for pragma in (
        "journal_mode=WAL",  # readers never wait for the writer
        "synchronous=FULL",  # a 202 survives a power cut
        "foreign_keys=ON",
        "secure_delete=ON",  # an erased payload is overwritten in the file, too
        "cache_size=-8000",  # 8 MB; a drain is no faster with 32, as the system keeps the file's pages anyway
        "journal_size_limit=67108864",
        f"busy_timeout={_STEP_MS}",  # the last: those before may find the file locked for longer
    ):
        connection.execute(f"PRAGMA {pragma}")


def _commit_without_waiting(connection: Any, _record: Any) -> None:
    # The order of commits stays: whatever is on disk, everything before it is too.
    connection.execute("PRAGMA synchronous=NORMAL")
