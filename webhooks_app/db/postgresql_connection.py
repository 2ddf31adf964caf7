"""A connection to PostgreSQL on which nobody waits longer than the limits say.

`statement_timeout` bounds what a server that works takes for a statement, and the kernel's keepalives find a
host that is gone. Neither finds a server that is stopped, nor a pooler whose own server is gone.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from webhooks_app.db import deadlines, postgresql_cancellation, postgresql_dumpers
from webhooks_app.db.circuit_breaker import CircuitBreaker, NotWorthWaiting

T = TypeVar("T")

_INTERVAL_SECONDS = 0.1  # psycopg's own, at which it looks for signals
# Whoever has waited for that long has met silence: a server that restarts or is gone from its host refuses
# sooner.
_SILENCE_SECONDS = 1.0
_USES_BEFORE_PREPARING = 5  # psycopg's own number
# A session of a pooler's may have any state, such as a time-out of a millisecond.
_ASK_ABOUT_SESSION = """
    BEGIN; SET LOCAL statement_timeout TO 4000;
    SELECT pg_catalog.pg_backend_pid(), reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path';
    COMMIT
"""
_TRANSACTION_TIMEOUT_SINCE = 170000

postgresql_dumpers.register()


class WaitRefused(psycopg.OperationalError):
    """The circuit breaker lets nobody wait for the database now; see NotWorthWaiting."""


class BoundedConnection(psycopg.Connection[Any]):
    """What each transaction goes by, beside the connection itself.

    `answer_seconds`: how long each answer may take, None for ever; `rollback_seconds`: how long that to a
    ROLLBACK may take, past which the connection is closed; `breaker`: whom to ask before.
    `has_own_session`: whether no other program's transactions come between ours, as they do behind a pooler.
    `own_settings`: what a transaction sets that depends on the server, the database or the role; none in a
    session of our own, which is set up once.
    """

    answer_seconds: float | None = None
    rollback_seconds: float | None = None
    breaker: CircuitBreaker | None = None
    has_own_session = False
    own_settings = ""

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> T:
        """Wait for an answer, as psycopg does, up to the limit; past it the connection is closed.

        Raises psycopg.OperationalError for that, and whenever the connection is lost: PostgreSQL counts some
        reasons for it, such as its idle-in-transaction time-out, among its internal errors.
        """
        is_new = self.pgconn.transaction_status == TransactionStatus.IDLE
        limit_seconds = self.answer_seconds if timeout is None else timeout
        if deadlines.is_over():
            raise psycopg.errors.QueryCanceled("the time for this request is over")
        began = time.monotonic()
        try:
            with watched(self.breaker, is_new=is_new) as first_seconds:
                limit_seconds = deadlines.shorten(first_seconds or limit_seconds)
                return super().wait(gen, interval, limit_seconds)
        except WaitRefused:
            raise
        except psycopg.Error as error:
            if limit_seconds is not None and time.monotonic() - began >= limit_seconds and not error.sqlstate:
                self._abandon()
                raise psycopg.OperationalError(f"no answer for {limit_seconds:g} seconds") from None
            if self.closed and not isinstance(error, psycopg.OperationalError):
                raise psycopg.OperationalError(str(error)) from error
            raise

    def commit(self) -> None:
        """Commit; a statement that was committed by itself stays so whatever the time is."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            super().commit()

    def rollback(self) -> None:
        """Roll back; while the database is silent, close the connection, which comes to the same there."""
        if self.breaker is not None and self.breaker.is_silent:
            self.close()
            return
        with deadlines.within(self.rollback_seconds, renewed=True):
            super().rollback()

    def _abandon(self) -> None:
        """Close the connection; in the background, ask the server to end what it was at."""
        postgresql_cancellation.request(self.pgconn)
        self.close()


def connect(
    arguments: tuple[Any, ...],
    parameters: dict[str, Any],
    *,
    reach_seconds: float | None,
    answer_seconds: float | None,
    rollback_seconds: float,
    breaker: CircuitBreaker | None,
    session_settings: str,
) -> BoundedConnection:
    """Open a connection within `reach_seconds`, with all its addresses and the look-up of its host's name.

    `arguments` and `parameters` are those of `psycopg.connect`. `session_settings` is the SQL that sets what
    transactions run under, for a session that is our own. Raises psycopg.OperationalError.
    """
    with watched(breaker, is_new=True) as first_seconds:
        seconds = deadlines.shorten(first_seconds or reach_seconds)
        connection = _within(seconds, lambda: _connect(session_settings, *arguments, **parameters))
    connection.answer_seconds, connection.breaker = answer_seconds, breaker
    connection.rollback_seconds = rollback_seconds
    return connection


@contextmanager
def watched(breaker: CircuitBreaker | None, *, is_new: bool) -> Iterator[float | None]:
    """Tell the breaker how the wait in the block ends; yield its own limit for it in seconds, if it has one.

    Raises WaitRefused, but only for what is new: a transaction goes on.
    """
    if breaker is None:
        yield None
        return
    seconds: float | None = None
    if is_new:
        try:
            seconds = breaker.admit()
        except NotWorthWaiting as error:
            raise WaitRefused(str(error)) from None
    began = time.monotonic()
    breaker.begin_wait()
    is_answered = False
    try:
        yield seconds
        is_answered = True
    except psycopg.Error as error:
        is_answered = error.sqlstate is not None  # an error that the server reports is an answer
        raise
    finally:
        is_silent = time.monotonic() - began >= _SILENCE_SECONDS
        breaker.end_wait(was_answered=is_answered, was_silent=is_silent)


def _connect(session_settings: str, *arguments: Any, **parameters: Any) -> BoundedConnection:
    """Open a connection that prepares statements and sets its session up only where that is its own.

    A pooler names a process of its own making as the one to cancel, as it cannot know which will be at work.
    """
    connection = BoundedConnection.connect(*arguments, **parameters)
    try:
        _set_up(connection, session_settings)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: BoundedConnection, session_settings: str) -> None:
    process_id, search_path = _about_session(connection)
    connection.has_own_session = process_id == connection.info.backend_pid
    own_settings = _own_settings(search_path, connection.info.server_version)
    if connection.has_own_session:
        connection.prepare_threshold = _USES_BEFORE_PREPARING
        connection.execute(session_settings + as_sql(own_settings, scope="SESSION"))
    else:
        connection.own_settings = as_sql(own_settings, scope="LOCAL")


def _about_session(connection: BoundedConnection) -> tuple[int, str]:
    """Return the server's process, and the search path that a session of this role's begins with."""
    cursor = connection.execute(_ASK_ABOUT_SESSION)
    while cursor.description is None and cursor.nextset():
        pass
    process_id, search_path = cursor.fetchone() or (0, "")
    return process_id, search_path


def as_sql(settings: Mapping[str, object], *, scope: str) -> str:
    """Return statements that set this for the `scope`, SESSION or LOCAL, each with a semicolon before it."""
    return "".join(f"; SET {scope} {name} TO {value}" for name, value in settings.items())


def _own_settings(search_path: str, server_version: int) -> dict[str, object]:
    """Return the settings that depend on the role and the server.

    Named last, temporary tables hide no others; not named, they come first.
    """
    settings: dict[str, object] = {"search_path": f"{search_path}, pg_temp" if search_path else "pg_temp"}
    if server_version >= _TRANSACTION_TIMEOUT_SINCE:
        settings["transaction_timeout"] = "DEFAULT"
    return settings


def _within(seconds: float | None, open_connection: Callable[[], BoundedConnection]) -> BoundedConnection:
    """Return the connection, which a thread opens: libpq looks names up without any limit of its own."""
    opened: Future[BoundedConnection] = Future()
    threading.Thread(target=_open, args=(open_connection, opened), daemon=True).start()
    try:
        return opened.result(seconds)
    except FutureTimeout:
        if not opened.cancel():
            return opened.result()
        raise psycopg.errors.ConnectionTimeout(f"no connection within {seconds:g} seconds") from None


def _open(open_connection: Callable[[], BoundedConnection], opened: "Future[BoundedConnection]") -> None:
    try:
        connection = open_connection()
    except Exception as error:
        if opened.set_running_or_notify_cancel():
            opened.set_exception(error)
        return
    if opened.set_running_or_notify_cancel():
        opened.set_result(connection)
    else:
        connection.close()
