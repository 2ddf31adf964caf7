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

# How long anybody waits for a lock, SQLite's one or PostgreSQL's on a table or a row; past it the caller gets
# 503 or tries again.
LOCK_SECONDS = 5
# How long for SQLite's lock who has something else to do meanwhile, and tries again.
SHORT_LOCK_SECONDS = 0.5
# A migration that waits for a table's lock makes everybody else wait behind it, so it gives up well before
# they do, lets them pass, and tries again.
MIGRATION_LOCK_SECONDS = 2
MIGRATION_PAUSE_SECONDS = 1
MIGRATION_TRIES = 60
# SQLite's own wait sleeps longer each time, up to 100 ms, so that whoever has waited longest loses to whoever
# comes by: under steady traffic that is seconds. So it waits in small steps, and `WriteTurn` goes on.
_SQLITE_STEP_MS = 10

# A connection that was idle for longer is asked whether it still leads anywhere: PostgreSQL may have been
# restarted. The error of one in use makes the pool drop all of them.
_IDLE_SECONDS = 1.0

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


def engine_options(database_url: str) -> dict[str, Any]:
    if database_url.startswith("sqlite"):
        patience = {"timeout": LOCK_SECONDS, "check_same_thread": False}
        return {"pool_timeout": LOCK_SECONDS, "connect_args": patience}
    patience = {"connect_timeout": LOCK_SECONDS}
    return {
        "pool_size": 10,
        "max_overflow": 20,
        "pool_timeout": LOCK_SECONDS,
        "connect_args": patience,
    }


def prepare(engine: Engine, *, waits_for_disk: bool) -> None:
    """`waits_for_disk`: whether a commit returns only when it would survive a power cut."""
    if engine.dialect.name == "sqlite":
        turn = WriteTurn()
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", turn.begin)
        event.listen(engine, "checkin", turn.end)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _set_session)
        event.listen(engine, "checkin", _note_idle)
        event.listen(engine, "checkout", partial(_ping_idle, engine.dialect))
    if not waits_for_disk:
        event.listen(engine, "connect", _commit_without_waiting)


class WriteTurn:
    """Whose turn it is to write to SQLite, among the threads of this process.

    They wait for each other without looking again and again, which would cost more than what they wait for;
    only the one whose turn it is competes with other processes. It has its turn until its connection goes
    back to the pool.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def begin(self, connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        if not writes:
            if writes is not None:
                connection.exec_driver_sql("BEGIN")
            return
        patience = (
            SHORT_LOCK_SECONDS if connection.get_execution_options().get(_HAS_SHORT_TIMEOUT) else LOCK_SECONDS
        )
        deadline = time.monotonic() + patience
        info = connection.connection.info
        if not info.get(self) and self._lock.acquire(timeout=patience):
            info[self] = True
        driver: Any = connection.connection.dbapi_connection
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises what is wrong as SQLAlchemy has it

    def end(self, _connection: Any, record: Any) -> None:
        if record.info.pop(self, None):
            self._lock.release()


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


def _set_session(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(f"SET lock_timeout = {_milliseconds(LOCK_SECONDS)}")
    connection.commit()


def limit_migration(connection: Connection) -> None:
    """Shortens the wait for locks in the transaction that a migration runs in."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_milliseconds(MIGRATION_LOCK_SECONDS)}")


def is_lock_timeout(error: OperationalError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _note_idle(_connection: Any, record: Any) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _ping_idle(dialect: Dialect, connection: Any, record: Any, _fairy: Any) -> None:
    if time.monotonic() - record.info.get(_IDLE_SINCE, 0.0) < _IDLE_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise InvalidatePoolError from None  # the pool opens another


def _commit_without_waiting(connection: Any, _record: Any) -> None:
    # The order of commits stays: whatever is on disk, everything before it is too.
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    connection.commit()
