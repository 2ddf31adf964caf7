"""Fragments of SQL that SQLite and PostgreSQL spell differently."""

from sqlalchemy import Connection, Dialect

# The name of the function that returns the larger of two values.
GREATEST = {"postgresql": "greatest", "sqlite": "max"}


def seconds_after(dialect: Dialect, moment: str, seconds: str) -> str:
    """Return the SQL of the moment that many seconds after `moment`; both are SQL themselves."""
    if dialect.name == "sqlite":
        return f"{moment} + CAST({seconds} * 1000000 AS INTEGER)"
    return f"{moment} + make_interval(secs => {seconds})"


def shorten_lock_timeout(connection: Connection, seconds: float) -> None:
    """Have the transaction wait for a lock no longer than that on PostgreSQL; SQLite's one lock it has."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(seconds * 1000)}")
