"""Statements over many rows at once, which travel as one JSON value: one round trip however many they are."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, CursorResult, TextClause, TextualSelect, text

from webhooks_app.db import dialect_sql
from webhooks_app.db.models.base import microseconds

Prepared = Mapping[str, TextClause | TextualSelect]

_as_json = json.JSONEncoder(separators=(",", ":")).encode


def prepare_with_rows(
    statement: str, fields: Mapping[str, str], *parameters: BindParameter[Any]
) -> dict[str, TextClause]:
    """Return the statement for each dialect; see `write_with_rows`.

    `parameters` are what `run_with_rows` is given beside the rows.
    """
    written = write_with_rows(statement, fields)
    return {dialect: text(each).bindparams(*parameters) for dialect, each in written.items()}


def write_with_rows(statement: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the statement for each dialect, which takes its rows as the value `:rows`; see `encode`.

    `{rows}` stands in it for the rows, named `r`, and `{greatest}` for the larger of two values; `fields` are
    the rows' fields with PostgreSQL's types.
    """
    typed = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    read = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in fields)
    sources = {
        "postgresql": f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r ({typed})",
        "sqlite": f"(SELECT {read} FROM json_each(:rows)) AS r",
    }
    return {
        dialect: statement.format(rows=rows, greatest=dialect_sql.GREATEST[dialect])
        for dialect, rows in sources.items()
    }


def encode(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as the one value that a statement takes them by."""
    return _as_json(rows)


def run_with_rows(
    connection: Connection,
    prepared: Prepared,
    rows: Sequence[Mapping[str, Any]],
    **values: Any,
) -> CursorResult[Any]:
    """Execute the statement once, over all the rows."""
    return connection.execute(prepared[connection.dialect.name], {"rows": encode(rows)} | values)


def moment_encoder(connection: Connection) -> Callable[[datetime], Any]:
    """Return what turns a moment into the form in which a row carries it."""
    return microseconds if connection.dialect.name == "sqlite" else datetime.isoformat
