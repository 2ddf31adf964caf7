"""Fragments of SQL that SQLite and PostgreSQL spell differently."""

from sqlalchemy import Connection, Dialect, text

# The name of the function that returns the larger of two values.
GREATEST = {"postgresql": "greatest", "sqlite": "max"}


def seconds_after(dialect: Dialect, moment: str, seconds: str) -> str:
    """Return the SQL of the moment that many seconds after `moment`; both are SQL themselves."""
    if dialect.name == "sqlite":
        return f"{moment} + CAST({seconds} * 1000000 AS INTEGER)"
    return f"{moment} + make_interval(secs => {seconds})"


def server_version(connection: Connection) -> str:
    """Return which database it is, and in which version, for people."""
    if connection.dialect.name == "sqlite":
        return f"SQLite {connection.scalar(text('SELECT sqlite_version()'))}"
    return f"PostgreSQL {connection.scalar(text('SHOW server_version'))}"


def shorten_lock_timeout(connection: Connection, seconds: float) -> None:
    """Limit the transaction's waits for locks on PostgreSQL; on SQLite it holds the only lock already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(seconds * 1000)}")
