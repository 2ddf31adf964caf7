"""Which errors say that the database cannot serve just now, so that whoever asked may ask again later."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# What to catch: everything of the database's and its pool's. `cause_of` then tells what passes.
DATABASE_ERRORS = (DBAPIError, PoolTimeout)


class Cause(StrEnum):
    """Why the database could not serve, as the log says it."""

    CONNECTION = "connection"
    DEADLOCK = "deadlock"
    DISK_FULL = "disk_full"
    IDLE_IN_TRANSACTION = "idle_in_transaction"
    INTERRUPTED = "interrupted"
    IO_ERROR = "io_error"
    LOCKED = "locked"
    OUT_OF_MEMORY = "out_of_memory"
    POOL_EXHAUSTED = "pool_exhausted"
    READ_ONLY = "read_only"
    RESOURCES = "resources"
    SERIALIZATION = "serialization"
    SHUTDOWN = "shutdown"
    TIMEOUT = "timeout"
    TOO_MANY_CONNECTIONS = "too_many_connections"


# PostgreSQL's SQLSTATEs: appendix A of its manual. PgBouncer's own errors are of class 08.
_SQLSTATES = {
    "25006": Cause.READ_ONLY,  # a primary that became a standby, or was told to be read-only
    "25P03": Cause.IDLE_IN_TRANSACTION,
    "25P04": Cause.TIMEOUT,  # transaction_timeout
    "40001": Cause.SERIALIZATION,
    "40003": Cause.CONNECTION,  # whether the statement completed is unknown
    "40P01": Cause.DEADLOCK,
    "53100": Cause.DISK_FULL,
    "53200": Cause.OUT_OF_MEMORY,
    "53300": Cause.TOO_MANY_CONNECTIONS,
    "55P03": Cause.LOCKED,
    "57014": Cause.TIMEOUT,  # statement_timeout, or canceled by an administrator
    "57P01": Cause.SHUTDOWN,
    "57P02": Cause.SHUTDOWN,
    "57P03": Cause.SHUTDOWN,  # it is starting, stopping or recovering
    "57P05": Cause.CONNECTION,  # idle_session_timeout
    "58000": Cause.IO_ERROR,
    "58030": Cause.IO_ERROR,
    "72000": Cause.SERIALIZATION,  # the snapshot is too old
}
_SQLSTATE_CLASSES = {"08": Cause.CONNECTION, "53": Cause.RESOURCES}
# SQLite's primary result codes, https://www.sqlite.org/rescode.html
_SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: Cause.LOCKED,
    sqlite3.SQLITE_LOCKED: Cause.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Cause.LOCKED,  # the write-ahead log's locks stayed taken
    sqlite3.SQLITE_NOMEM: Cause.OUT_OF_MEMORY,
    sqlite3.SQLITE_READONLY: Cause.READ_ONLY,
    sqlite3.SQLITE_INTERRUPT: Cause.INTERRUPTED,
    sqlite3.SQLITE_IOERR: Cause.IO_ERROR,
    sqlite3.SQLITE_FULL: Cause.DISK_FULL,
    sqlite3.SQLITE_CANTOPEN: Cause.CONNECTION,
    sqlite3.SQLITE_SCHEMA: Cause.SERIALIZATION,  # the schema changed again and again meanwhile
}


def cause_of(error: BaseException) -> Cause | None:
    """Return why the database could not serve, or None for an error that asking again does not mend.

    The class of an exception does not tell: a read-only database is an InternalError of psycopg, and a
    missing table an OperationalError of sqlite3.
    """
    if isinstance(error, PoolTimeout):
        return Cause.POOL_EXHAUSTED
    if not isinstance(error, DBAPIError):
        return None
    if sqlstate := getattr(error.orig, "sqlstate", None):
        return _SQLSTATES.get(sqlstate) or _SQLSTATE_CLASSES.get(sqlstate[:2])
    if (code := getattr(error.orig, "sqlite_errorcode", None)) is not None:
        return _SQLITE_CODES.get(code & 0xFF)  # the rest of the code tells more of the same
    # Without a code nobody answered: no connection came about, or it ended in the middle of an answer.
    is_connection = isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated
    return Cause.CONNECTION if is_connection else None


def raise_unless_transient(error: Exception) -> None:
    """Raise the error, unless it says that the database cannot serve just now."""
    if cause_of(error) is None:
        raise error


def raise_if_transient(error: Exception) -> None:
    """Raise the error if it says that the database cannot serve just now."""
    if cause_of(error) is not None:
        raise error


def reason(error: Exception) -> str:
    """Return the first line of what the driver says, for whoever sits at the shell."""
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


def log_unavailable(logger: logging.Logger, error: Exception, **fields: Any) -> None:
    """Log that the database could not serve, and why: one line, without what was asked of it."""
    logger.warning("database_unavailable", extra=_described(error) | fields)


@contextmanager
def tolerate_unavailable_database(logger: logging.Logger, **fields: Any) -> Iterator[None]:
    """End the block early, and log it, if the database cannot serve just now; raise all other errors."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise_unless_transient(error)
        log_unavailable(logger, error, **fields)


def _described(error: Exception) -> dict[str, Any]:
    driver = getattr(error, "orig", None) or error
    code = getattr(driver, "sqlstate", None) or getattr(driver, "sqlite_errorname", None)
    fields = {"cause": cause_of(error), "error": type(driver).__name__}
    if code:
        return fields | {"code": code}
    return fields | {"reason": repr(_last_line(str(driver)))}


def _last_line(message: str) -> str:
    """Return what libpq says last of a connection that did not come about; it names no password."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
