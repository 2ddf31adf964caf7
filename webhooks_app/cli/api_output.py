"""How the commands for a platform's API print: a table for people, columns apart by tabs in a pipe, JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from webhooks_app.cli.api_answers import ApiFailure
from webhooks_app.cli.table import print_table
from webhooks_app.core.outcome_descriptions import DESCRIPTIONS
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.core.text_display import flatten

as_json = click.option("--json", "is_json", is_flag=True, help="As the API answers it: one object a line.")
_NOTHING = "–"
_FIRST = ("id", "name", "secret", "event_type", "endpoint_name", "state", "status", "headline", "explanation")


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """A column of a table for people: its name, and what it shows of a row."""

    name: str
    show: Callable[[Mapping[str, Any]], str]


def plain(name: str) -> OutputColumn:
    """Return the column that shows a field as it is."""
    return OutputColumn(name, lambda row: cell(row.get(name)))


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    is_json: bool,
    nothing: str,
    for_people: Sequence[OutputColumn] = (),
) -> None:
    """Print these columns of the rows, or each row whole as a line of JSON.

    In a pipe the columns are apart by tabs, below a line with their names; on a terminal they are those for
    people, where there are such.
    """
    if is_json:
        for row in rows:
            print_json(row)
    elif sys.stdout.isatty():
        _print_for_people(rows, for_people or [plain(name) for name in columns], nothing)
    else:
        _print_apart_by_tabs(rows, columns)


def _print_for_people(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[OutputColumn], nothing: str
) -> None:
    cells: list[list[str]] = []
    try:
        for row in rows:
            cells.append([each.show(row) for each in columns])
    except (ApiFailure, KeyboardInterrupt):  # what was done before it is to be seen
        if cells:
            print_table([each.name for each in columns], cells, nothing=nothing)
        raise
    print_table([each.name for each in columns], cells, nothing=nothing)


def _print_apart_by_tabs(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print the names with the first row, so that there is nothing at all where none can be read."""
    names = ["\t".join(columns)]
    for row in rows:
        for line in [*names, "\t".join(_raw(row.get(name)) for name in columns)]:
            click.echo(line)
        names = []
    for line in names:
        click.echo(line)


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
            _print_now(json_line(row))
        else:
            _print_now(line(row) if is_for_people else "\t".join(_raw(row.get(name)) for name in columns))


def _print_now(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def print_fields(row: Mapping[str, Any], *, is_json: bool) -> None:
    """Print one thing, a field a line; on a terminal, what people look for comes first."""
    if is_json:
        print_json(row)
    elif sys.stdout.isatty():
        from webhooks_app.cli import terminal

        ordered = sorted(row, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        terminal.print_fields([(name, cell(row[name])) for name in ordered])
    else:
        width = max(map(len, row), default=0)
        for name, value in row.items():
            click.echo(f"{name.replace('_', ' '):{width}}  {cell(value)}")


def print_json(value: Any) -> None:
    click.echo(json_line(value))


def json_line(value: Any) -> str:
    """Return the value as JSON; on a terminal in ASCII alone, so that nothing in it steers that."""
    return json.dumps(value, ensure_ascii=sys.stdout.isatty())


def _raw(value: Any) -> str:
    """Return a value as programs take it: nothing for null, moments as they come."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return flatten(",".join(map(str, value)) if isinstance(value, list) else str(value))


def cell(value: Any) -> str:
    """Return a value as people read it: moments in their own time."""
    if isinstance(value, dict):
        return flatten(", ".join(f"{name.replace('_', ' ')}: {cell(part)}" for name, part in value.items()))
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


def short_time(moment: str, another_day: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return the time of day here; that of another day is written by the format."""
    here = datetime.fromisoformat(moment).astimezone()
    return here.strftime("%H:%M:%S" if here.date() == datetime.now().date() else another_day)


def last_response(delivery: Mapping[str, Any]) -> str:
    """Return the status that was answered last, or what went wrong without one."""
    return flatten(str(delivery["last_status"] or "")) or failure_label(delivery["last_outcome"])


def failure_label(outcome: str | None) -> str:
    """Return the class of an outcome in words."""
    if outcome not in set(OutcomeClass):  # one that a newer platform knows, or none yet
        return cell(outcome)
    return DESCRIPTIONS[OutcomeClass(outcome)].label
