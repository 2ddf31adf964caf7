"""A table as commands print it for people."""

from collections.abc import Sequence

import click


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    """Print the rows below the names of their columns; `nothing` is said, on standard error, of none."""
    if not rows:
        click.echo(nothing, err=True)
        return
    lines = [[name.replace("_", " ").upper() for name in columns], *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
