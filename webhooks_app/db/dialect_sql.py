"""Fragments of SQL that SQLite and PostgreSQL spell differently."""

from sqlalchemy import Dialect

# The name of the function that returns the larger of two values.
GREATEST = {"postgresql": "greatest", "sqlite": "max"}


def seconds_after(dialect: Dialect, moment: str, seconds: str) -> str:
    """Return the SQL of the moment that many seconds after `moment`; both are SQL themselves."""
    if dialect.name == "sqlite":
        return f"{moment} + CAST({seconds} * 1000000 AS INTEGER)"
    return f"{moment} + make_interval(secs => {seconds})"
