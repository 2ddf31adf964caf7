"""The page of the shell: what `--help` of every command says."""

import re
from collections.abc import Iterator

import click

from webhooks_app.cli.main import main

_HEAD = """# Commands

What `avra COMMAND --help` says of each command, written by `make reference`.
[The shell, from anywhere](../shell.md) says how commands find a platform and how they end;
[operations](../operations.md#from-the-shell) is about those for operators."""
_WIDTH = 100


def write() -> str:
    parts = [_HEAD]
    for name, command in _commands(main, "avra"):
        parts.append(f"{'#' * name.count(' ') or '#'}# {name}\n\n```text\n{_help(name, command)}\n```")
    return "\n\n".join(parts) + "\n"


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if not command.hidden:
            yield f"{path} {name}", command
            if isinstance(command, click.Group):
                yield from _commands(command, f"{path} {name}")


def _help(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, max_content_width=_WIDTH, terminal_width=_WIDTH)
    return re.sub(r" +$", "", command.get_help(context), flags=re.MULTILINE).strip()
