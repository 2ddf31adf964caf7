"""How the commands for a platform's API print: a table for people, columns apart by tabs in a pipe, JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from webhooks_app.cli.table import print_table
from webhooks_app.core.text_display import flatten

as_json = click.option("--json", "is_json", is_flag=True, help="As the API answers it: one object a line.")
_NOTHING = "–"


def print_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, is_json: bool, nothing: str
) -> None:
    """Print these columns of the rows, or each row whole as a line of JSON.

    In a pipe the columns are apart by tabs, below a line with their names.
    """
    if is_json:
        for row in rows:
            print_json(row)
    elif sys.stdout.isatty():
        cells = [[_cell(row.get(name)) for name in columns] for row in rows]
        print_table(columns, cells, nothing=nothing)
    else:
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(_raw(row.get(name)) for name in columns))


def print_as_they_come(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    line: Callable[[Any], str],
    *,
    is_json: bool,
) -> None:
    """Print each row as soon as it is there: on a terminal by `line`, in a pipe as `print_rows` does."""
    is_for_people = sys.stdout.isatty()
    if not is_json and not is_for_people:
        _print_now("\t".join(columns))
    for row in rows:
        if is_json:
            _print_now(json.dumps(row, ensure_ascii=False))
        else:
            _print_now(line(row) if is_for_people else "\t".join(_raw(row.get(name)) for name in columns))


def _print_now(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def print_fields(row: Mapping[str, Any], *, is_json: bool) -> None:
    """Print one thing, a field a line."""
    if is_json:
        print_json(row)
        return
    width = max(map(len, row), default=0)
    for name, value in row.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {_cell(value)}")


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def _raw(value: Any) -> str:
    """Return a value as programs take it: nothing for null, moments as they come."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return flatten(",".join(map(str, value)) if isinstance(value, list) else str(value))


def _cell(value: Any) -> str:
    """Return a value as people read it: moments in their own time."""
    if value is None or value in ("", []):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and (moment := _moment(value)):
        return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return flatten(", ".join(map(_part, value)))
    return flatten(str(value))


def _part(value: Any) -> str:
    return str(value.get("name", value)) if isinstance(value, dict) else str(value)


def _moment(text: str) -> datetime | None:
    if len(text) != len("2026-01-31T12:00:00.123Z") or not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
