"""Fragments of SQL that SQLite and PostgreSQL spell differently."""

from typing import Any

from sqlalchemy import ColumnElement, Dialect, func, literal

# The name of the function that returns the larger of two values.
GREATEST = {"postgresql": "greatest", "sqlite": "max"}


def seconds_after(dialect: Dialect, moment: str, seconds: str) -> str:
    """Return the SQL of the moment that many seconds after `moment`; both are SQL themselves."""
    if dialect.name == "sqlite":
        return f"{moment} + CAST({seconds} * 1000000 AS INTEGER)"
    return f"{moment} + make_interval(secs => {seconds})"


def holds_bytes(dialect: Dialect, column: Any, content: bytes) -> ColumnElement[bool]:
    """Return the condition that a column of bytes holds `content` somewhere."""
    position = func.instr if dialect.name == "sqlite" else func.pg_catalog.position
    return position(column, literal(content)) > 0
