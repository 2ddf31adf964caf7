"""Statements over many rows at once, which travel as one JSON value: one round trip however many they are."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from webhooks_app.db import dialect_sql, driver_sql
from webhooks_app.db.column_types import microseconds
from webhooks_app.db.driver_sql import DriverStatement

_as_json = json.JSONEncoder(separators=(",", ":")).encode


def prepare_with_rows(statement: str, fields: Mapping[str, str]) -> DriverStatement:
    """Return the statement for each dialect, which `run_with_rows` gives the rows.

    `{rows}` stands in it for the rows, named `r`, and `{greatest}` for the larger of two values; `fields` are
    the rows' fields with PostgreSQL's types.
    """
    typed = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    read = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in fields)
    sources = {
        "postgresql": f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r ({typed})",
        "sqlite": f"(SELECT {read} FROM json_each(:rows)) AS r",
    }
    return driver_sql.compile_for_drivers(
        {
            dialect: statement.format(rows=rows, greatest=dialect_sql.GREATEST[dialect])
            for dialect, rows in sources.items()
        }
    )


def run_with_rows(
    connection: Connection, statement: DriverStatement, rows: Sequence[Mapping[str, Any]], **values: Any
) -> list[tuple[Any, ...]]:
    """Run the statement once, over all the rows, with `values` beside them; see `driver_sql.fetch_all`."""
    return driver_sql.fetch_all(connection, statement, {"rows": _as_json(rows)} | values)


def moment_encoder(connection: Connection) -> Callable[[datetime], Any]:
    """Return what turns a moment into the form in which a row carries it."""
    return microseconds if connection.dialect.name == "sqlite" else datetime.isoformat
