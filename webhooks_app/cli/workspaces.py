"""Workspaces from the shell: `workspaces list`, `workspaces add`, `create-workspace`."""

import click
from sqlalchemy import func, select

from webhooks_app.accounts import api_tokens, email_addresses, input_rules, members, users, workspaces
from webhooks_app.cli import row_output
from webhooks_app.cli.account_lookup import find_user
from webhooks_app.cli.command_services import begin_command
from webhooks_app.cli.shell_arguments import SHELL, checked_by
from webhooks_app.core import passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Member, Role, Workspace


@click.command("create-workspace")
@click.argument("name", callback=checked_by(input_rules.check_name))
@click.option(
    "--admin",
    "email",
    required=True,
    callback=checked_by(email_addresses.normalize),
    help="E-mail address of its first admin.",
)
@click.password_option(
    callback=checked_by(input_rules.check_password), help="The admin's password; asked for when not given."
)
def create_workspace(name: str, email: str, password: str) -> None:
    """Create a workspace and its first admin.

    Prints an API token for it. For an admin who has an account already, `avra workspaces add`.
    """
    with begin_command() as opened:
        try:
            print(set_up(opened.write, name, email, password)[1])
        except users.EmailTaken:
            raise click.ClickException(
                f"There is a user {email} already. Use `avra workspaces add {name!r} --admin {email}`."
            ) from None


def set_up(database: WriteDatabase, name: str, email: str, password: str) -> tuple[str, str]:
    """Create a workspace and its admin, all or nothing; return its id and an API token. Raises EmailTaken."""
    normal, hashed = email_addresses.normalize(email), passwords.hash_password(password)
    with database.begin() as connection:
        user_id = users.add_in_transaction(
            connection, email=normal, name=email.partition("@")[0].title(), password_hash=hashed
        )
        workspace_id = workspaces.create_in_transaction(connection, name, actor=SHELL)
        members.add_in_transaction(connection, workspace_id, user_id, Role.ADMIN, actor=SHELL)
        return workspace_id, api_tokens.create_in_transaction(
            connection, workspace_id, "First token", actor=SHELL
        )


@click.group("workspaces")
def workspaces_group() -> None:
    """List workspaces, and add them."""


@workspaces_group.command("list")
@row_output.as_json
def list_workspaces(is_json: bool) -> None:
    """List all workspaces."""
    of_members = select(func.count()).where(Member.workspace_id == Workspace.id).scalar_subquery()
    live = Endpoint.workspace_id == Workspace.id, Endpoint.deleted_at.is_(None)
    of_endpoints = select(func.count()).where(*live).scalar_subquery()
    columns = (
        Workspace.id,
        Workspace.name,
        of_members.label("members"),
        of_endpoints.label("endpoints"),
        Workspace.retention_days,
        Workspace.payload_days,
        Workspace.created_at,
    )
    with begin_command() as opened, opened.read.connect() as connection:
        rows = connection.execute(select(*columns).order_by(Workspace.id)).mappings().all()
    row_output.show([dict(row) for row in rows], is_json=is_json, nothing="There is no workspace yet.")


@workspaces_group.command("add")
@click.argument("name", callback=checked_by(input_rules.check_name))
@click.option(
    "--admin", "email", required=True, help="E-mail address of a user, who becomes its first admin."
)
def add_workspace(name: str, email: str) -> None:
    """Add a workspace, with a user there is as its admin; prints its id."""
    with begin_command() as opened:
        with opened.read.session() as session:
            user = find_user(session, email)
        click.echo(workspaces.create_with_admin(opened.write, name, user, actor=SHELL))
