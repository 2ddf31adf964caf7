"""People from the shell: `users`, `members`, `reset-password`."""

import click
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import (
    email_addresses,
    input_rules,
    log_in_links,
    members,
    passkeys,
    password_resets,
    second_factors,
    sessions,
    users,
)
from webhooks_app.accounts.members import LastAdmin
from webhooks_app.accounts.users import OnlyAdmin
from webhooks_app.cli import row_output
from webhooks_app.cli.account_lookup import find_member, find_user, find_workspace
from webhooks_app.cli.command_services import begin_command
from webhooks_app.cli.shell_arguments import SHELL, checked_by
from webhooks_app.core import clock
from webhooks_app.db.models import Member, Role, User

_ROLES = click.Choice([role.value for role in Role])


@click.group("users")
def users_group() -> None:
    """List accounts, add and remove; end sessions."""


@users_group.command("list")
@row_output.as_json
def list_users(is_json: bool) -> None:
    """List all accounts."""
    of_workspaces = select(func.count()).where(Member.user_id == User.id).scalar_subquery()
    has_second_factor = User.second_factor_at.is_not(None).label("two_factor")
    columns = (
        User.email,
        User.name,
        of_workspaces.label("workspaces"),
        has_second_factor,
        User.created_at,
        User.id,
    )
    with begin_command() as opened, opened.read.connect() as connection:
        rows = connection.execute(select(*columns).order_by(User.email)).mappings().all()
    row_output.show([dict(row) for row in rows], is_json=is_json, nothing="There is no user yet.")


@users_group.command("add")
@click.argument("email", callback=checked_by(email_addresses.normalize))
@click.option("--name", help="Their name; by default what the address begins with.")
@click.password_option(
    callback=checked_by(input_rules.check_password), help="Their password; asked for when not given."
)
def add_user(email: str, name: str | None, password: str) -> None:
    """Add an account, which is a member of nothing yet; prints its id."""
    try:
        shown_name = input_rules.check_name(name or email.partition("@")[0].title())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--name") from None
    with begin_command() as opened:
        try:
            click.echo(users.add(opened.write, email=email, name=shown_name, password=password))
        except users.EmailTaken:
            raise click.ClickException(f"There is a user {email} already.") from None


@users_group.command("end-sessions")
@click.argument("email")
def end_sessions(email: str) -> None:
    """Log somebody out everywhere, as after a lost device."""
    with begin_command() as opened:
        with opened.read.session() as session:
            user = find_user(session, email)
        users.end_sessions(opened.write, user, actor=SHELL)
        click.echo(f"Every session of {user.email} has ended.")


@users_group.command("sessions")
@click.argument("email")
@row_output.as_json
def list_sessions(email: str, is_json: bool) -> None:
    """List where somebody is logged in."""
    with begin_command() as opened, opened.read.session() as session:
        found = sessions.live(session, find_user(session, email).id, now=clock.now())
        names = ("id", "method", "address", "user_agent", "created_at", "last_seen_at")
        rows = [{name: getattr(each, name) for name in names} for each in found]
    row_output.show(rows, is_json=is_json, nothing="They are logged in nowhere.")


@users_group.command("log-in-link")
@click.argument("email")
def make_log_in_link(email: str) -> None:
    """Let somebody in without a password, as while the provider of single sign-on is away.

    Prints a link, which is good once, for ten minutes. It ends all their sessions.
    """
    with begin_command() as opened:
        with opened.read.session() as session:
            user = find_user(session, email)
        users.record(opened.write, user.id, "session.link_made", actor=SHELL)
        click.echo(log_in_links.new_link(user, opened.settings.base_url, opened.settings.secret_key))


@users_group.command("reset-two-factor")
@click.argument("email")
def reset_second_factor(email: str) -> None:
    """Let somebody in who lost their authenticator app and recovery codes, or a passkey.

    Turns their two-factor authentication off, removes their passkeys, and logs them out everywhere. Make sure
    first that it is they who ask.
    """
    with begin_command() as opened:
        with opened.read.session() as session:
            user = find_user(session, email)
            has_passkey = bool(passkeys.read_all(session, user.id))
        if user.second_factor_at is None and not has_passkey:
            raise click.ClickException(f"{user.email} has no two-factor authentication and no passkey.")
        second_factors.reset(opened.write, user, actor=SHELL)
        click.echo(
            f"{user.email} has no two-factor authentication and no passkey any more. Every session has ended."
        )


@users_group.command("remove")
@click.argument("email")
@click.confirmation_option(prompt="Remove the account, with its memberships?")
def remove_user(email: str) -> None:
    """Remove an account. What they did stays in the audit log."""
    with begin_command() as opened:
        with opened.read.session() as session:
            user = find_user(session, email)
        try:
            users.remove(opened.write, user, actor=SHELL)
        except OnlyAdmin as error:
            raise click.ClickException(
                f"{user.email} is the only admin of {error}. Make somebody else one first."
            ) from None
        click.echo(f"The account {user.email} is removed.")


@click.command("reset-password")
@click.argument("email")
@click.option("--prompt", is_flag=True, help="Ask for the new password here, instead of printing a link.")
def reset_password(email: str, prompt: bool) -> None:
    """Let somebody set a new password.

    Prints a link to hand to them. It is good once, for an hour. A new password ends all their sessions.
    """
    with begin_command() as opened:
        with opened.read.session() as session:
            user = find_user(session, email)
        if prompt:
            users.change_password(opened.write, user, _ask_for_password(), actor=SHELL)
            click.echo(f"The password of {user.email} is changed. Every session has ended.")
            return
        token = password_resets.new_token(user, opened.settings.secret_key)
        password_resets.record_link(opened.write, user, actor=SHELL)
        click.echo(password_resets.link(opened.settings.base_url, token))


def _ask_for_password() -> str:
    while True:
        typed: str = click.prompt("New password", hide_input=True, confirmation_prompt=True)
        try:
            return input_rules.check_password(typed)
        except ValueError as error:
            click.echo(f"Error: {error}", err=True)


@click.group("members")
def members_group() -> None:
    """List, add and remove members, and change their roles."""


@members_group.command("list")
@click.argument("workspace")
@row_output.as_json
def list_members(workspace: str, is_json: bool) -> None:
    """List the members of WORKSPACE, which is its id or name."""
    with begin_command() as opened, opened.read.session() as session:
        of_it = Member.workspace_id == find_workspace(session, workspace).id
        columns = (User.email, User.name, Member.role, Member.created_at.label("since"))
        found = select(*columns).join(Member, Member.user_id == User.id).where(of_it).order_by(User.email)
        rows = [dict(row) | {"role": row.role.value} for row in session.execute(found).mappings().all()]
    row_output.show(rows, is_json=is_json, nothing="It has no members.")


@members_group.command("add")
@click.argument("workspace")
@click.argument("email")
@click.option("--role", type=_ROLES, default=Role.VIEWER.value, show_default=True)
def add_member(workspace: str, email: str, role: str) -> None:
    """Make a user a member of WORKSPACE. For somebody without an account, `avra users add` first."""
    with begin_command() as opened:
        with opened.read.session() as session:
            found, user = find_workspace(session, workspace), find_user(session, email)
        try:
            members.add(opened.write, found.id, user.id, Role(role), actor=SHELL)
        except IntegrityError:
            raise click.ClickException(f"{user.email} is a member of {found.name} already.") from None
        click.echo(f"{user.email} is a member of {found.name}, as {role}.")


@members_group.command("role")
@click.argument("workspace")
@click.argument("email")
@click.argument("role", type=_ROLES)
def change_role(workspace: str, email: str, role: str) -> None:
    """Give a member of WORKSPACE another role."""
    with begin_command() as opened:
        with opened.read.session() as session:
            member = find_member(session, find_workspace(session, workspace), email)
        try:
            members.change_role(opened.write, member, Role(role), actor=SHELL)
        except LastAdmin:
            raise click.ClickException(f"{email} is its only admin. Make somebody else one first.") from None
        click.echo(f"{email} is now {role}.")


@members_group.command("remove")
@click.argument("workspace")
@click.argument("email")
def remove_member(workspace: str, email: str) -> None:
    """Remove a member from WORKSPACE; the account stays."""
    with begin_command() as opened:
        with opened.read.session() as session:
            member = find_member(session, find_workspace(session, workspace), email)
        try:
            members.remove(opened.write, member, actor=SHELL)
        except LastAdmin:
            raise click.ClickException(f"{email} is its only admin. Make somebody else one first.") from None
        click.echo(f"{email} is no longer a member.")
