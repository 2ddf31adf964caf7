"""The database, for reading and for writing, on SQLite and PostgreSQL alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Dialect, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from webhooks_app.db import driver_errors, sqlite_sessions
from webhooks_app.db.connection_pool import ConnectionPool
from webhooks_app.db.database_limits import DEFAULT_LIMITS, DatabaseLimits, lone_limits
from webhooks_app.db.transaction_options import (
    AUTOCOMMITS,
    HAS_NO_TIME_LIMIT,
    HAS_SHORT_TIMEOUT,
    WAITS_FOR_DISK,
    WRITES,
)
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.db.write_refusals import WriteRefusals

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class ReadDatabase:
    """The database for transactions that only read; nothing makes a WriteDatabase of it."""

    def __init__(self, engine: Engine) -> None:
        self._reading = engine.execution_options(**{WRITES: False})
        self._autocommitting = engine.execution_options(**{WRITES: None, AUTOCOMMITS: True})

    def connect(self) -> Connection:
        """Open a transaction that only reads; use it as a context manager.

        On SQLite all its statements see one snapshot, on PostgreSQL each sees what is committed as it begins.
        """
        return self._reading.connect()

    def connect_autocommit(self) -> Connection:
        """Open a connection for one SELECT at a time, without a transaction's own round trips."""
        return self._autocommitting.connect()

    def session(self) -> "Session":
        """Open an ORM session that only reads, as `connect` does; use it as a context manager."""
        # Not at the top: the ORM takes 6 MiB, and a scheduler does without.
        from sqlalchemy.orm import Session

        return Session(self._reading)


class WriteDatabase:
    """The database for transactions that write; nothing makes a ReadDatabase of it.

    SQLite refuses, without waiting, a reader that begins to write once another has written; so a transaction
    says at its begin which of the two it is.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        after_commit: Callable[[], None] | None = None,
        refusals: WriteRefusals | None = None,
    ) -> None:
        """Call `after_commit` after each commit, in the thread that committed."""
        self.refusals = refusals or WriteRefusals()
        self._engine = engine
        self._writing = engine.execution_options(**{WRITES: True})
        self._autocommitting = engine.execution_options(**{WRITES: True, AUTOCOMMITS: True})
        self._after_commit = after_commit

    @property
    def dialect(self) -> Dialect:
        return self._engine.dialect

    @property
    def has_one_writer(self) -> bool:
        """Whether only one transaction writes at a time, and who is next is chance: SQLite has one lock."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[WriteConnection]:
        """Begin a transaction that is committed at the end of the block, or rolled back by an exception."""
        with self._begin(self._writing) as connection:
            yield connection

    @contextmanager
    def begin_single(self) -> Iterator[WriteConnection]:
        """Begin a transaction of at most one statement, after which nothing may keep it from being committed.

        On PostgreSQL it needs no round trips of its own then, unless a pooler shares the session or less time
        is left than a statement may take.
        """
        with self._begin(self._autocommitting) as connection:
            yield connection

    @contextmanager
    def connect_unlimited(self, *, lock_seconds: float | None = None) -> Iterator[WriteConnection]:
        """Open a connection of its own to PostgreSQL on which each statement may take any time.

        Each is committed by itself: what builds an index beside writers must be in no transaction. It waits
        for others no longer than `lock_seconds`, if that is given. Raises DBAPIError.
        """
        limits = lone_limits(lock_seconds)
        url = self._engine.url
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            poolclass=NullPool,
            connect_args=_postgresql_sessions().connect_arguments(url.query, limits),
        )
        driver_errors.listen(engine)
        _postgresql_sessions().prepare_connections(engine, waits_for_disk=True, limits=limits)
        with engine.connect() as connection:
            yield WriteConnection(connection)

    @contextmanager
    def _begin(self, engine: Engine) -> Iterator[WriteConnection]:
        try:
            with engine.begin() as connection:
                yield WriteConnection(connection)
        except DBAPIError as error:
            self.refusals.note(error)
            raise
        self.refusals.note_success()
        if self._after_commit is not None:
            self._after_commit()

    def pool_use(self) -> tuple[int, int]:
        """Return how many connections of the process's pool are in use, and how many are open and idle."""
        pool: Any = self._engine.pool
        return pool.checkedout(), pool.checkedin()

    def with_short_lock_timeout(self) -> "WriteDatabase":
        """Return the same database for a caller that cannot wait long for SQLite's lock."""
        return self._with_option(HAS_SHORT_TIMEOUT)

    def waiting_for_disk(self) -> "WriteDatabase":
        """Return the same database for transactions that no crash of PostgreSQL takes back."""
        return self._with_option(WAITS_FOR_DISK)

    def on_connect(self, call: Callable[[], object]) -> None:
        """Have this called for each connection that is opened from now on, in the thread that opens it."""
        event.listen(self._engine.pool, "connect", lambda *_: call())

    def without_time_limit(self) -> "WriteDatabase":
        """Return the same database for transactions whose statements may take any time on PostgreSQL."""
        return self._with_option(HAS_NO_TIME_LIMIT)

    def _with_option(self, name: str) -> "WriteDatabase":
        engine = self._engine.execution_options(**{name: True})
        return WriteDatabase(engine, after_commit=self._after_commit, refusals=self.refusals)


@dataclass(frozen=True, slots=True)
class Databases:
    """One database, for reading and for writing."""

    read: ReadDatabase
    write: WriteDatabase


def databases_of(engine: Engine, *, after_commit: Callable[[], None] | None = None) -> Databases:
    """Return both sides of a prepared engine; see WriteDatabase for `after_commit`."""
    return Databases(ReadDatabase(engine), WriteDatabase(engine, after_commit=after_commit))


def open_engine(
    database_url: str, *, waits_for_disk: bool, limits: DatabaseLimits = DEFAULT_LIMITS
) -> Engine:
    """Return a prepared engine, which connects when it is first used; see `prepare` for `waits_for_disk`."""
    engine = create_engine(database_url, **engine_options(database_url, limits))
    prepare(engine, waits_for_disk=waits_for_disk, limits=limits)
    return engine


def engine_options(database_url: str, limits: DatabaseLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Return the arguments of `create_engine` for a database of either kind.

    `hide_parameters`: an error's text is logged, and the parameters may be secrets.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        connect_args = {"timeout": limits.lock_seconds, "check_same_thread": False}
        return {
            "hide_parameters": True,
            "poolclass": ConnectionPool,
            # A connection is a file or two, of which each thread needs two at most; nobody need wait for one.
            "max_overflow": -1,
            "connect_args": connect_args,
        }
    return {
        "hide_parameters": True,
        "poolclass": ConnectionPool,
        "pool_size": 10,
        "max_overflow": 20,
        "pool_timeout": limits.pool_seconds,
        "connect_args": _postgresql_sessions().connect_arguments(url.query, limits),
    }


def prepare(engine: Engine, *, waits_for_disk: bool, limits: DatabaseLimits = DEFAULT_LIMITS) -> None:
    """Have each new connection of the engine behave alike on both databases.

    `waits_for_disk`: whether a commit returns only when it would survive a power cut.
    """
    driver_errors.listen(engine)
    sessions = sqlite_sessions if engine.dialect.name == "sqlite" else _postgresql_sessions()
    sessions.prepare(engine, waits_for_disk=waits_for_disk, limits=limits)


def _postgresql_sessions() -> ModuleType:
    """Return what prepares engines for PostgreSQL; psycopg takes 5 MiB, for which SQLite has no use."""
    from webhooks_app.db import postgresql_sessions

    return postgresql_sessions
