"""How commands print the rows that they found, for people and for programs."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from webhooks_app.cli.table import print_table
from webhooks_app.core.clock import format_rfc3339, format_utc
from webhooks_app.core.text_display import flatten

ListedRow = dict[str, Any]

as_json = click.option("--json", "is_json", is_flag=True, help="For programs: one JSON object a line.")


def show(rows: Sequence[ListedRow], *, is_json: bool, nothing: str) -> None:
    """Print a table of the rows, or each as a line of JSON; `nothing` is said of an empty table."""
    if is_json:
        for row in rows:
            click.echo(json.dumps({name: _machine_value(value) for name, value in row.items()}))
    else:
        cells = [[_cell(value) for value in row.values()] for row in rows]
        print_table(list(rows[0]) if rows else (), cells, nothing=nothing)


def _machine_value(value: Any) -> Any:
    return format_rfc3339(value) if isinstance(value, datetime) else value


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return format_utc(value)
    # Names are people's own, and a terminal obeys what it is sent.
    return flatten(", ".join(value) if isinstance(value, list) else str(value))
