"""What is done to a deployment now and then: `migrate`, `rotate-keys`, `expire`, `vacuum`."""

import sys

import click

from webhooks_app.accounts import stored_addresses
from webhooks_app.app import create_app
from webhooks_app.cli.command_services import begin_command, exit_on_command_error
from webhooks_app.cli.schema import upgrade
from webhooks_app.core import clock, logging_setup
from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db import database_file, free_pages, index_builds, schema_version
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.deliveries import retention
from webhooks_app.endpoints import key_rotation
from webhooks_app.extensions import services


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    with exit_on_command_error():
        app = create_app(database_limits=COMMAND_LIMITS)
        logging_setup.set_up("WARNING")
        with app.app_context():
            bring_up_to_date()


def bring_up_to_date() -> None:
    """Migrate the schema, and print what of the data a person has to see to. Raises WrongSchema."""
    schema_version.check_encoding(services().read)
    upgrade()
    index_builds.bring_up_to_date(services().write, now=clock.now(), tell_waiting=_tell_waiting)
    for sentence in stored_addresses.respell_all(services().write):
        print(f"warning: {sentence}", file=sys.stderr)


def _tell_waiting() -> None:
    print("Waiting for another process that builds indexes.", file=sys.stderr)


@click.command()
def expire() -> None:
    """Delete what is past its retention.

    That is what is finished and older than its workspace keeps it. The scheduler has it done each hour.
    """
    with begin_command() as opened:
        print(retention.delete_expired(opened.databases, now=clock.now()))
        free_pages.give_back(opened.read, opened.write)


@click.command()
@click.confirmation_option(prompt="Nothing can be written until the file is rewritten. Continue?")
def vacuum() -> None:
    """Write an SQLite file anew, without its unused space.

    From then on what retention deletes goes back to the disk by itself, as in any database made by this
    version. Stop the processes before: events are refused meanwhile. There must be room for the file twice
    more: beside it, and where SQLite has its temporary files (SQLITE_TMPDIR, or else /var/tmp). PostgreSQL
    has its autovacuum for that.
    """
    with begin_command() as opened:
        file = database_file.path(opened.settings.database_url)
    if file is None:
        raise click.ClickException("This is for SQLite; PostgreSQL's autovacuum sees to its tables.")
    before = file.stat().st_size
    try:
        free_pages.rebuild(file)
    except free_pages.NotRebuilt as error:
        raise click.ClickException(f"Nothing was changed: {error}.") from None
    after = file.stat().st_size
    print(f"The file had {before / 1024**2:.1f} MB and has {after / 1024**2:.1f}.")


@click.command("rotate-keys")
def rotate_keys() -> None:
    """Encrypt everything anew with the first encryption key.

    That is the first of WEBHOOKS_ENCRYPTION_KEYS; the others can go afterwards.
    """
    with begin_command() as opened:
        try:
            count = key_rotation.reencrypt_all(opened.databases, opened.cipher)
        except DecryptionError as error:
            raise click.ClickException(
                f"{error}. Nothing is lost; add the key that it was made under."
            ) from None
        print(f"{count} values encrypted with the first key.")
