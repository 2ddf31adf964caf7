"""What people see on a terminal: tables that fit it, things field by field, a bar for what takes a while.

The only importer of rich, which costs 50 ms: it is imported where something is printed on a terminal, so that
neither programs nor servers pay for it. rich heeds NO_COLOR, TERM=dumb and COLUMNS.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

GAP = 2
# A shortened cell says no less than this of what it is.
NARROWEST = 8
# As wide as states, times of day and numbers, which are not shortened.
NARROW = 11
# Whoever copies an id needs all of it.
_ID = re.compile("[a-z]{2,4}_[0-9a-v]{20,}")
_STATE_COLUMNS = frozenset({"status", "state", "outcome", "last_outcome", "health_state"})
_STYLES = {
    **dict.fromkeys(("delivered", "enabled", "success", "done", "healthy"), "green"),
    **dict.fromkeys(("failed", "failing", "undelivered"), "red"),
    **dict.fromkeys(("retrying", "held", "disabled", "degraded", "running"), "yellow"),
    "canceled": "dim",
}


class Bar(Protocol):
    """Shows how far something is; the total is None as long as nobody knows it."""

    def __call__(self, done: int, total: int | None, note: str) -> None: ...


def colored(text: str, color: str) -> str:
    """Return the text for `click.echo` in a colour, unless NO_COLOR is set (https://no-color.org)."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=color)


def print_fitted(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows, a line each, below the names of their columns; what does not fit is shortened.

    Where the terminal is too narrow even so, each row is printed field by field.
    """
    from rich.cells import cell_len
    from rich.table import Table

    console = _console()
    heads = [name.replace("_", " ").upper() for name in columns]
    natural = [max(map(cell_len, cells)) for cells in zip(heads, *rows, strict=True)]
    has_ids = [any(map(_ID.fullmatch, cells)) for cells in zip(*rows, strict=True)]
    is_whole = [has_id or width <= NARROW for has_id, width in zip(has_ids, natural, strict=True)]
    widths = fit(natural, is_whole, console.width)
    if sum(widths) + GAP * (len(widths) - 1) > console.width:
        _print_apart(columns, rows)
        return
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for head, width in zip(heads, widths, strict=True):
        table.add_column(head, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*(_cell(name, text) for name, text in zip(columns, row, strict=True)))
    console.print(table)


def _print_apart(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for position, row in enumerate(rows):
        if position:
            click.echo()
        print_fields(list(zip(columns, row, strict=True)))


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print one thing, a field a line; long values go on below their beginning."""
    from rich.table import Table

    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, text in fields:
        grid.add_row(name.replace("_", " "), _cell(name, text))
    _console().print(grid)


@contextmanager
def progress(label: str) -> Iterator[Bar]:
    """Show a bar on standard error while the block runs."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as shown:
        task = shown.add_task(label, total=None, note="")

        def move(done: int, total: int | None, note: str) -> None:
            shown.update(task, completed=done, total=total, note=note, refresh=True)

        yield move


def fit(natural: Sequence[int], is_whole: Sequence[bool], columns: int) -> list[int]:
    """Return widths that fit a terminal of so many columns, where the widest give way first. Pure.

    What `is_whole` keeps its width, and nothing gets narrower than NARROWEST; so they may be too wide still.
    """
    widths = list(natural)
    free = columns - GAP * (len(widths) - 1)
    while sum(widths) > free:
        widest = max(
            (at for at, whole in enumerate(is_whole) if not whole and widths[at] > NARROWEST),
            key=lambda at: widths[at],
            default=None,
        )
        if widest is None:
            break
        widths[widest] -= 1
    return widths


def _cell(column: str, text: str) -> "Text":
    from rich.text import Text

    return Text(text, style=_STYLES.get(text, "") if column in _STATE_COLUMNS else "")


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False)
