"""What a transaction on PostgreSQL runs under, stated anew by each of them behind a pooler.

Behind a pooler in transaction mode one transaction of ours follows another program's in the same session. So
nothing is set for a session there, nothing that is left in one is relied on, and no statement is prepared. A
session that is a connection's own is set up once, when it is opened (`postgresql_connection`).
"""

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, event
from sqlalchemy.exc import InvalidatePoolError, OperationalError

from webhooks_app.db import deadlines, driver_errors, postgresql_connection
from webhooks_app.db.circuit_breaker import BreakerLimits, CircuitBreaker
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.postgresql_connection import BoundedConnection, WaitRefused
from webhooks_app.db.transaction_options import AUTOCOMMITS, HAS_NO_TIME_LIMIT, WAITS_FOR_DISK, WRITES

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE"
# The same for a single statement, which has no BEGIN that says it. Whether it may write stays the database's
# choice, as where it is read-only on purpose.
_DEFAULTS_OF_SESSION: dict[str, object] = {
    "default_transaction_isolation": "'read committed'",
    "default_transaction_deferrable": "off",
}
# A word is all that tells a session that another program left read-only from a server that is. The answer
# comes with that of BEGIN, of which it is the first statement, as a query would forbid to change it.
_ASK_READ_ONLY = "SHOW transaction_read_only"
_IS_SERVER_READ_ONLY = """
    SELECT pg_catalog.pg_is_in_recovery() OR reset_val = 'on' FROM pg_catalog.pg_settings
    WHERE name = 'default_transaction_read_only'
"""
# "lock_not_available" and "deadlock_detected", appendix A of PostgreSQL's manual
_LOCK_NOT_AVAILABLE, _DEADLOCK_DETECTED = "55P03", "40P01"
_IDLE_SINCE = "idle_since"


def connect_arguments(url_parameters: Mapping[str, object], limits: DatabaseLimits) -> dict[str, Any]:
    """Return the arguments of psycopg's `connect`; what the URL itself says stays."""
    silence_seconds = limits.peer_silence_seconds
    arguments = {
        # `begin` sends its own BEGIN, together with what the transaction runs under.
        "autocommit": True,
        "prepare_threshold": None,  # for a start; see `postgresql_connection.connect`
        "connect_timeout": limits.connect_seconds,
        "client_encoding": "utf8",  # without it, text of a database that has no encoding comes as bytes
        # A host that is gone acknowledges neither what was sent nor, while an answer is awaited, a probe.
        "keepalives_idle": max(1, silence_seconds - 1),
        "keepalives_interval": 1,
        "keepalives_count": silence_seconds,
        "tcp_user_timeout": silence_seconds * 1000,
    }
    return {name: value for name, value in arguments.items() if name not in url_parameters}


def prepare(engine: Engine, *, waits_for_disk: bool, limits: DatabaseLimits) -> None:
    """Have the engine's connections and transactions keep to the limits; see `engines.prepare`."""
    # libpq says this of each connection as it opens it, whatever the database or the role would have, and
    # poolers keep to it; psycopg reads no other style.
    os.environ["PGDATESTYLE"] = "ISO"
    prepare_connections(engine, waits_for_disk=waits_for_disk, limits=limits)
    settings = settings_of_transaction(limits, waits_for_disk=waits_for_disk)
    event.listen(
        engine, "begin", partial(_begin, limits, postgresql_connection.as_sql(settings, scope="LOCAL"))
    )
    event.listen(engine, "checkin", partial(_return, limits))
    event.listen(engine, "checkout", partial(_check_kept, engine, limits))


def prepare_connections(engine: Engine, *, waits_for_disk: bool, limits: DatabaseLimits) -> None:
    """Have the engine's connections keep to the limits; each statement is committed by itself."""
    breaker = CircuitBreaker(BreakerLimits(limits.most_waiting)) if limits.most_waiting else None
    settings = settings_of_transaction(limits, waits_for_disk=waits_for_disk) | _DEFAULTS_OF_SESSION
    session_settings = postgresql_connection.as_sql(settings, scope="SESSION")
    event.listen(engine, "do_connect", partial(_connect, limits, breaker, session_settings))


def settings_of_transaction(limits: DatabaseLimits, *, waits_for_disk: bool) -> dict[str, object]:
    """Return what each transaction runs under.

    DEFAULT is the server's, the database's or the role's own setting, whatever another program left in the
    session. What comes first is what could keep the rest from being set.
    """
    idle_ms = _milliseconds(limits.idle_transaction_seconds)
    return {
        "statement_timeout": _milliseconds(limits.statement_seconds),
        "session_authorization": "DEFAULT",  # which resets the role to none, and so comes before it
        "role": "DEFAULT",
        "row_security": "DEFAULT",
        # Without waiting, the order of commits stays: whatever is on disk, everything before it is too.
        "synchronous_commit": "DEFAULT" if waits_for_disk else "off",
        "enable_seqscan": "DEFAULT" if limits.reads_whole_tables else "off",
        "jit": "off",  # compiling takes longer than any statement of ours
        "lock_timeout": _milliseconds(limits.lock_seconds),
        # A host that is gone holds its rows' locks until the server ends the transaction: one that waits for
        # its next statement by the first, one whose answer nobody takes by the second.
        "idle_in_transaction_session_timeout": idle_ms,
        "tcp_user_timeout": idle_ms,
        # How values are written and read.
        "datestyle": "ISO",
        "standard_conforming_strings": "on",
        "array_nulls": "on",
        "extra_float_digits": 1,
    }


def is_lock_timeout(error: OperationalError) -> bool:
    """Return whether PostgreSQL gave up waiting for a lock, or ended a deadlock by this error."""
    return getattr(error.orig, "sqlstate", None) in (_LOCK_NOT_AVAILABLE, _DEADLOCK_DETECTED)


def _milliseconds(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1000)  # to PostgreSQL, 0 is no limit


def _connect(
    limits: DatabaseLimits,
    breaker: CircuitBreaker | None,
    session_settings: str,
    _dialect: Dialect,
    _record: Any,
    *given: Any,
) -> BoundedConnection:
    arguments, parameters = given
    return postgresql_connection.connect(
        tuple(arguments),
        parameters,
        reach_seconds=limits.reach_seconds,
        answer_seconds=limits.answer_seconds,
        rollback_seconds=limits.rollback_seconds,
        breaker=breaker,
        session_settings=session_settings,
    )


def _begin(limits: DatabaseLimits, settings: str, connection: Connection) -> None:
    options = connection.get_execution_options()
    driver: Any = connection.connection.driver_connection
    special = _special_settings(limits, connection)
    if options.get(AUTOCOMMITS) and driver.has_own_session and not (options.get(WRITES) and special):
        return
    if options.get(HAS_NO_TIME_LIMIT):
        driver.answer_seconds = None
    if driver.has_own_session:
        with driver_errors.as_sqlalchemy(connection, _BEGIN):
            driver.execute(_BEGIN + special, prepare=False)
        return
    settings += driver.own_settings + special
    statement = f"{_ASK_READ_ONLY}; {_BEGIN}{settings}"
    with driver_errors.as_sqlalchemy(connection, statement):
        # Not by SQLAlchemy, to which rows cost a fifth of the whole transaction.
        is_read_only = driver.execute(statement).fetchone() == ("on",)
    if is_read_only:
        _begin_again(connection, settings)


def _special_settings(limits: DatabaseLimits, connection: Connection) -> str:
    """Return what this transaction sets otherwise than all others, as SQL with semicolons before."""
    settings: dict[str, object] = {}
    if connection.get_execution_options().get(HAS_NO_TIME_LIMIT):
        settings |= {"statement_timeout": 0, "idle_in_transaction_session_timeout": 0}
    if connection.get_execution_options().get(WAITS_FOR_DISK):
        settings["synchronous_commit"] = "on"
    if (left := deadlines.remaining()) is not None and left < (limits.statement_seconds or left):
        settings["statement_timeout"] = max(1, _milliseconds(left))
    return postgresql_connection.as_sql(settings, scope="LOCAL") if settings else ""


def _begin_again(connection: Connection, settings: str) -> None:
    """Begin for writing, whatever the session has as a default, unless that is the server's."""
    if not connection.exec_driver_sql(_IS_SERVER_READ_ONLY).scalar():
        connection.exec_driver_sql(f"ROLLBACK; {_BEGIN}, READ WRITE{settings}")


def _return(limits: DatabaseLimits, connection: Any, record: Any) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()
    if connection is not None:
        connection.answer_seconds = limits.answer_seconds


def _check_kept(engine: Engine, limits: DatabaseLimits, connection: Any, record: Any, _fairy: Any) -> None:
    """Have the pool drop all of its connections and open another where this one is of no use any more."""
    dialect = engine.dialect
    pool: Any = engine.pool
    if pool.has_lost_one:
        pool.has_lost_one = False
        raise InvalidatePoolError
    idle_since = record.info.get(_IDLE_SINCE)  # None of one that was just opened
    if idle_since is None or time.monotonic() - idle_since < limits.idle_check_seconds:
        return
    try:
        dialect.do_ping(connection)
    except WaitRefused:
        raise
    except dialect.loaded_dbapi.Error:
        raise InvalidatePoolError from None
