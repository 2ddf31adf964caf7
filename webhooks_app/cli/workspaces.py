"""Workspaces made from the shell: `create-workspace`."""

from collections.abc import Callable

import click

from webhooks_app.accounts import api_tokens, email_addresses, input_rules, members, users, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.cli.command_services import begin_command
from webhooks_app.core import passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Role

SHELL = Actor("shell")


Callback = Callable[[click.Context, click.Parameter, str], str]


def _by(rule: Callable[[str], str]) -> Callback:
    """Return a callback that refuses what the rule refuses, with its sentence."""

    def check(_context: click.Context, _parameter: click.Parameter, typed: str) -> str:
        try:
            return rule(typed)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return check


@click.command("create-workspace")
@click.argument("name", callback=_by(input_rules.check_name))
@click.option(
    "--admin",
    "email",
    required=True,
    callback=_by(email_addresses.normalize),
    help="E-mail address of its first admin.",
)
@click.password_option(
    callback=_by(input_rules.check_password), help="The admin's password; asked for when not given."
)
def create_workspace(name: str, email: str, password: str) -> None:
    """Create a workspace and its first admin.

    Prints an API token for it.
    """
    with begin_command() as opened:
        try:
            print(set_up(opened.write, name, email, password)[1])
        except users.EmailTaken:
            raise click.ClickException(f"There is a user {email} already.") from None


def set_up(database: WriteDatabase, name: str, email: str, password: str) -> tuple[str, str]:
    """Create a workspace and its admin, all or nothing; return its id and an API token. Raises EmailTaken."""
    normal, hashed = email_addresses.normalize(email), passwords.hash_password(password)
    with database.begin() as connection:
        user_id = users.add_in(
            connection, email=normal, name=email.partition("@")[0].title(), password_hash=hashed
        )
        workspace_id = workspaces.create_in(connection, name, actor=SHELL)
        members.add_in(connection, workspace_id, user_id, Role.ADMIN, actor=SHELL)
        return workspace_id, api_tokens.create_in(connection, workspace_id, "First token", actor=SHELL)
