"""Statements over many rows at once, which travel as one JSON value: one round trip however many they are."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, text

from webhooks_app.db.models.base import microseconds

Prepared = dict[str, TextClause]

_GREATEST = {"postgresql": "greatest", "sqlite": "max"}

_as_json = json.JSONEncoder(separators=(",", ":")).encode


def prepare(statement: str, fields: Mapping[str, str]) -> Prepared:
    """By dialect. `{rows}` stands for the rows, named `r`; `fields` are theirs with PostgreSQL's types."""
    typed = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    read = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in fields)
    sources = {
        "postgresql": f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r ({typed})",
        "sqlite": f"(SELECT {read} FROM json_each(:rows)) AS r",
    }
    return {
        dialect: text(statement.format(rows=rows, greatest=_GREATEST[dialect]))
        for dialect, rows in sources.items()
    }


def run(connection: Connection, prepared: Prepared, rows: list[dict[str, Any]]) -> CursorResult[Any]:
    return connection.execute(prepared[connection.dialect.name], {"rows": _as_json(rows)})


def moments(connection: Connection) -> Callable[[datetime], Any]:
    """How a row carries a moment."""
    return microseconds if connection.dialect.name == "sqlite" else datetime.isoformat
