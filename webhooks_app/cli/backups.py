"""Copies of the database: `backup` and `restore`."""

from collections.abc import Callable
from pathlib import Path

import click

from webhooks_app import config
from webhooks_app.cli.command_services import begin_command
from webhooks_app.config import Settings
from webhooks_app.db import backups, schema_version
from webhooks_app.db.backups import BackupFailed
from webhooks_app.endpoints import key_rotation
from webhooks_app.jobs.process import exit_on_start_error

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@_file
def backup(file: Path) -> None:
    """Write a copy of the database to a new FILE.

    Everything may run meanwhile. The signing secrets in it are encrypted: keep WEBHOOKS_ENCRYPTION_KEYS
    apart from it, and safe.
    """
    _call(backups.make, file, config.read_existing)
    print(f"{file}: {file.stat().st_size:,} bytes. To read it, WEBHOOKS_ENCRYPTION_KEYS is needed, too.")


@click.command()
@_file
def restore(file: Path) -> None:
    """Restore a copy into an empty database.

    Nothing else may run meanwhile. What was waiting when it was made is sent again, under the same ids.
    """
    _call(backups.restore, file, config.read)
    print(f"{file} is restored.")
    with begin_command(may_be_older=True) as opened:
        is_older = schema_version.is_older(opened.databases.read)
        # What is encrypted under an older schema may be unreadable to this code.
        unreadable = (
            0 if is_older else key_rotation.count_values_of_lost_keys(opened.databases, opened.cipher)
        )
    if is_older:
        print(
            "It is from before this version: run `avra migrate`, then `avra doctor`, which tries the keys."
            " Then start the processes; what waits is sent."
        )
        return
    if unreadable:
        raise click.ClickException(
            f"No key in WEBHOOKS_ENCRYPTION_KEYS opens {unreadable} of its secrets;"
            " add the keys of when the backup was made before anything starts."
        )
    print("Start the processes; what waits is sent.")


def _call(act: Callable[[str, Path], None], file: Path, read: Callable[[], Settings]) -> None:
    """Call `act` with the database's URL and the file; what it cannot do ends the process with one line."""
    with exit_on_start_error():
        database_url = read().database_url
    try:
        act(database_url, file)
    except BackupFailed as error:
        raise click.ClickException(str(error)) from None
