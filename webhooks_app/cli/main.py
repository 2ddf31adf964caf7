"""The entry point of the shell's commands: `avra COMMAND`, or `python -m webhooks_app COMMAND`."""

import sys
from importlib import import_module
from typing import Any

import click

import webhooks_app
from webhooks_app.cli import standard_streams
from webhooks_app.core import interrupts
from webhooks_app.monitoring import tracing

# By name, with the module that holds it, so that each process loads what it uses.
_COMMANDS = {
    "run": "run",
    "web": "web",
    "worker": "processes",
    "scheduler": "processes",
    "migrate": "maintenance",
    "doctor": "doctor",
    "config": "show_config",
    "catalog": "catalog",
    "apply": "apply",
    "export": "endpoint_export",
    "listen": "listen",
    "events": "api_events",
    "send-example": "api_events",
    "endpoints": "api_endpoints",
    "deliveries": "api_deliveries",
    "recover": "api_deliveries",
    "create-workspace": "workspaces",
    "workspaces": "workspaces",
    "users": "people",
    "members": "people",
    "tokens": "tokens",
    "reset-password": "people",
    "rotate-keys": "maintenance",
    "expire": "maintenance",
    "vacuum": "maintenance",
    "backup": "backups",
    "restore": "backups",
}
_INTERRUPTED = 130  # as a shell says it of what Ctrl-C ended
# These say themselves what they do at Ctrl-C, once they have begun.
_LONG_LIVED = frozenset({"run", "web", "worker", "scheduler"})
# The function of such a group is called otherwise, as its module has something else by that name.
_GROUPS = ("workspaces", "users", "members", "tokens", "catalog", "events", "endpoints", "deliveries")
_FUNCTIONS = {name: f"{name}_group" for name in _GROUPS}


class _Commands(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        tracing.block_import_unless_enabled()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nAborted!", err=True)
            sys.exit(_INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"webhooks_app.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, _FUNCTIONS.get(cmd_name, cmd_name.replace("-", "_")))
        if cmd_name not in _LONG_LIVED:
            interrupts.raise_keyboard_interrupt()
        return command


@click.group(cls=_Commands)
@click.version_option(webhooks_app.__version__, prog_name="avra")
def main() -> None:
    """Avra webhooks: signed, real-time event notifications with a delivery log.

    Settings come from the environment; `avra config` shows them, and `avra doctor` tries whether they work.
    """
    standard_streams.make_robust()
