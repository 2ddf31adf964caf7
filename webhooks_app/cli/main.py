"""The shell's door: `avra COMMAND`, or `python -m webhooks_app COMMAND`."""

import click

import webhooks_app
from webhooks_app.cli.maintenance import expire, migrate, rotate_keys
from webhooks_app.cli.processes import scheduler, web, worker
from webhooks_app.cli.run import run
from webhooks_app.cli.workspaces import create_workspace


@click.group()
@click.version_option(webhooks_app.__version__, prog_name="avra")
def main() -> None:
    """Avra webhooks: signed, real-time event notifications with a delivery log.

    Settings come from the environment; the README's table lists them.
    """


for command in (run, web, worker, scheduler, migrate, create_workspace, rotate_keys, expire):
    main.add_command(command)
