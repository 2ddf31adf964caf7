"""Inserts of attempts, by far the widest rows, by each driver's fastest way."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from webhooks_app.db import driver_errors
from webhooks_app.db.models import Attempt
from webhooks_app.db.models.base import microseconds
from webhooks_app.db.write_connection import WriteConnection

# Values in the order of the table's columns.
AttemptRow = tuple[Any, ...]

_COLUMNS = tuple(column.name for column in Attempt.__table__.columns)
_COPY = f"COPY attempts ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = (
    "text int4 timestamptz text text int4 int4 int4 int4 int4 int4 text text bytea bytea bool bool bytea int4"
).split()
_INSERT = f"INSERT INTO attempts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def moments(connection: Connection) -> Callable[[datetime], Any]:
    """Return the function that makes a moment what an AttemptRow carries."""
    return microseconds if connection.dialect.name == "sqlite" else _unchanged


def _unchanged(moment: datetime) -> datetime:
    return moment


def insert(connection: WriteConnection, rows: Iterable[AttemptRow]) -> None:
    """Insert the rows. Raises DBAPIError as SQLAlchemy does."""
    driver: Any = connection.connection.driver_connection
    with driver_errors.as_sqlalchemy(connection, _COPY):
        if connection.dialect.name == "sqlite":
            driver.executemany(_INSERT, rows)
        else:
            _copy(driver, rows)


def _copy(driver: Any, rows: Iterable[AttemptRow]) -> None:
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_COPY_TYPES)
        for row in rows:
            copy.write_row(row)
