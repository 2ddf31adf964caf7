"""Statements that go to the driver as they are, where SQLAlchemy takes longer than the database.

That is on the way of each event: who subscribes, its insert, its claim, what is recorded.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from webhooks_app.db import driver_errors
from webhooks_app.db.column_types import for_driver

# The value `:name`, and not the second colon of a cast or a time of day.
_NAMED_VALUE = re.compile(r"(?<![:\w]):([a-z_]+)")

# A statement by dialect, in the style of its driver.
DriverStatement = Mapping[str, str]


def compile_for_drivers(statements: Mapping[str, str]) -> DriverStatement:
    """Return what `fetch_all` runs, of a statement for each dialect whose values are written `:name`."""
    postgresql = _NAMED_VALUE.sub(r"%(\1)s", statements["postgresql"].replace("%", "%%"))
    return {"sqlite": statements["sqlite"], "postgresql": postgresql}


def fetch_all(
    connection: Connection, statement: DriverStatement, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Run the statement and return its rows, if it gives any, with moments as the driver has them.

    `column_types.of_driver` reads these. Raises DBAPIError as SQLAlchemy does, and ValueError for a moment
    without a time zone.
    """
    dialect = connection.dialect
    taken = {
        name: for_driver(each, dialect) if isinstance(each, datetime) else each
        for name, each in values.items()
    }
    return fetch_all_as(connection, statement[dialect.name], taken)


def fetch_all_as(connection: Connection, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement in the style of the connection's driver, like `fetch_all`."""
    if not connection.in_transaction():
        connection.begin()  # as SQLAlchemy does by itself, which tells the session what it runs under
    driver: Any = connection.connection.driver_connection
    with driver_errors.as_sqlalchemy(connection, statement):
        cursor = driver.execute(statement, values)
        return cursor.fetchall() if cursor.description is not None else []
