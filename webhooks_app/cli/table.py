"""A table as commands print it for people, by rich on a terminal and plainly elsewhere."""

import sys
from collections.abc import Sequence

import click


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    """Print the rows below the names of their columns; `nothing` is said, on standard error, of none."""
    if not rows:
        click.echo(nothing, err=True)
    elif sys.stdout.isatty():
        from webhooks_app.cli import terminal

        terminal.print_fitted(columns, rows)
    else:
        _print_plainly(columns, rows)


def _print_plainly(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [[name.replace("_", " ").upper() for name in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
