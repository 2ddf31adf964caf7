"""What the drivers' errors say, without the values that they say it of.

PostgreSQL quotes a row where it refuses one ("Key (email)=(…)", "Failing row contains (…)", "invalid input
syntax …"), and both the log and a traceback would show it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

_READ_ONLY = "25006"
_DATA_EXCEPTION = "22"  # the class whose first line quotes the value, too


def listen(engine: Engine) -> None:
    """Have each error of the engine's connections say what is wrong and not with which values."""
    event.listen(engine, "handle_error", _handle)


@contextmanager
def as_sqlalchemy(connection: Connection, statement: str) -> Iterator[None]:
    """Raise the errors of direct calls to the driver as SQLAlchemy does, which such calls bypass."""
    base = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        _remove_values(error)
        if is_lost := _is_lost(connection, error):
            connection.invalidate(error)
            pool: Any = connection.engine.pool
            pool.has_lost_one = True
        raise DBAPIError.instance(
            statement, None, error, base, connection_invalidated=is_lost, dialect=connection.dialect
        ) from error


def _is_lost(connection: Connection, error: Any) -> bool:
    driver = connection.connection.dbapi_connection
    return _is_read_only(error) or connection.dialect.is_disconnect(error, driver, None)


def _handle(context: ExceptionContext) -> None:
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    if _remove_values(error) and wrapped is not None:
        wrapped.args = (f"({type(error).__module__}.{type(error).__name__}) {error}",)
    if _is_read_only(error):
        # After a failover the kept connections lead to what was the primary; new ones find the new one.
        context.is_disconnect = True


def _is_read_only(error: BaseException) -> bool:
    return getattr(error, "sqlstate", None) == _READ_ONLY


def _remove_values(error: BaseException) -> bool:
    """Leave of an error of PostgreSQL its first line, or its class alone; return whether there was more."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary is None:
        return False
    is_quoting = str(getattr(error, "sqlstate", None)).startswith(_DATA_EXCEPTION)
    error.args = ("a value was refused" if is_quoting else primary,)
    return True
