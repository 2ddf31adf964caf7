"""What SQLite and PostgreSQL need to behave alike, and SQLite's one write lock to be shared well."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session

from webhooks_app.db import driver_errors
from webhooks_app.db.database_limits import DEFAULT_LIMITS, DatabaseLimits

# SQLite's own wait sleeps longer each time, up to 100 ms, so that the writer that has waited longest loses to
# one that has just come: under steady traffic that is seconds. So SQLite waits in small steps, and
# `WriteTurn` repeats them.
_SQLITE_STEP_MS = 10

_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's "lock_not_available", appendix A of its manual
_IDLE_SINCE = "idle_since"
_WRITES = "writes"
_HAS_SHORT_TIMEOUT = "has_short_lock_timeout"


class ReadDatabase:
    """The database for transactions that only read; nothing makes a WriteDatabase of it."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(**{_WRITES: False})
        if engine.dialect.name == "sqlite":
            self._autocommitting = engine.execution_options(**{_WRITES: None})
        else:
            self._autocommitting = engine.execution_options(isolation_level="AUTOCOMMIT")

    def connect(self) -> Connection:
        """Open a transaction that sees one snapshot; use it as a context manager."""
        return self._reading.connect()

    def connect_autocommit(self) -> Connection:
        """Open a connection for one SELECT at a time, without a transaction's own round trips."""
        return self._autocommitting.connect()

    def session(self) -> Session:
        """Open an ORM session that sees one snapshot; use it as a context manager."""
        return Session(self._reading)


class WriteDatabase:
    """The database for transactions that write; nothing makes a ReadDatabase of it.

    SQLite refuses, without waiting, a reader that begins to write once another has written; so a transaction
    says at its begin which of the two it is.
    """

    def __init__(self, engine: Engine, *, after_commit: Callable[[], None] | None = None) -> None:
        """Call `after_commit` behind each commit, in the thread that committed."""
        self._engine = engine
        self._writing = engine.execution_options(**{_WRITES: True})
        self._after_commit = after_commit

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin a transaction that is committed at the end of the block, or rolled back by an exception."""
        with self._writing.begin() as connection:
            yield connection
        if self._after_commit is not None:
            self._after_commit()

    def with_short_lock_timeout(self) -> "WriteDatabase":
        """Return the same database for a caller that cannot wait long for SQLite's lock."""
        return WriteDatabase(
            self._engine.execution_options(**{_HAS_SHORT_TIMEOUT: True}), after_commit=self._after_commit
        )


@dataclass(frozen=True, slots=True)
class Databases:
    """One database, for reading and for writing."""

    read: ReadDatabase
    write: WriteDatabase


def databases_of(engine: Engine, *, after_commit: Callable[[], None] | None = None) -> Databases:
    """Return both sides of a prepared engine; see WriteDatabase for `after_commit`."""
    return Databases(ReadDatabase(engine), WriteDatabase(engine, after_commit=after_commit))


def engine_options(database_url: str, limits: DatabaseLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Return the arguments of `create_engine` for a database of either kind.

    `hide_parameters`: an error's text is logged, and the parameters may be secrets.
    """
    if database_url.startswith("sqlite"):
        connect_args = {"timeout": limits.lock_seconds, "check_same_thread": False}
        return {
            "hide_parameters": True,
            "pool_timeout": limits.pool_seconds,
            "connect_args": connect_args,
        }
    return {
        "hide_parameters": True,
        "pool_size": 10,
        "max_overflow": 20,
        "pool_timeout": limits.pool_seconds,
        "connect_args": {"connect_timeout": limits.connect_seconds},
    }


def prepare(engine: Engine, *, waits_for_disk: bool, limits: DatabaseLimits = DEFAULT_LIMITS) -> None:
    """Have each new connection of the engine behave alike on both databases.

    `waits_for_disk`: whether a commit returns only when it would survive a power cut.
    """
    driver_errors.listen(engine)
    if engine.dialect.name == "sqlite":
        turn = WriteTurn(limits)
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", turn.begin)
        event.listen(engine, "checkin", turn.end)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", partial(_set_session, limits))
        event.listen(engine, "checkin", _note_idle)
        event.listen(engine, "checkout", partial(_ping_idle, engine.dialect, limits))
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
        writes = connection.get_execution_options().get(_WRITES, False)
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
        is_short = connection.get_execution_options().get(_HAS_SHORT_TIMEOUT)
        return self._limits.short_lock_seconds if is_short else self._limits.lock_seconds

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
    for pragma in (
        "journal_mode=WAL",  # readers never wait for the writer
        "synchronous=FULL",  # a 202 survives a power cut
        "foreign_keys=ON",
        "cache_size=-8000",  # 8 MB; a drain is no faster with 32, as the system keeps the file's pages anyway
        "journal_size_limit=67108864",
        f"busy_timeout={_SQLITE_STEP_MS}",  # the last: those before may find the file locked for longer
    ):
        connection.execute(f"PRAGMA {pragma}")


def _set_session(limits: DatabaseLimits, connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(f"SET lock_timeout = {round(limits.lock_seconds * 1000)}")
    connection.commit()


def is_lock_timeout(error: OperationalError) -> bool:
    """Return whether PostgreSQL gave up waiting for a lock."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def _note_idle(_connection: Any, record: Any) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _ping_idle(dialect: Dialect, limits: DatabaseLimits, connection: Any, record: Any, _fairy: Any) -> None:
    if time.monotonic() - record.info.get(_IDLE_SINCE, 0.0) < limits.idle_check_seconds:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise InvalidatePoolError from None  # the pool drops all of its connections and opens another


def _commit_without_waiting(connection: Any, _record: Any) -> None:
    # The order of commits stays: whatever is on disk, everything before it is too.
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    connection.commit()
