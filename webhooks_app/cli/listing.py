"""How commands print what they found, for people and for programs; and what the shell's arguments name."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from webhooks_app.accounts import users
from webhooks_app.cli.table import print_table
from webhooks_app.core import ids
from webhooks_app.core.clock import format_rfc3339
from webhooks_app.core.text_display import flatten
from webhooks_app.db.models import Member, User, Workspace

ListedRow = dict[str, Any]

as_json = click.option("--json", "is_json", is_flag=True, help="For programs: one JSON object a line.")


def show(rows: Sequence[ListedRow], *, is_json: bool, nothing: str) -> None:
    """Print a table of the rows, or each as a line of JSON; `nothing` is said of an empty table."""
    if is_json:
        for row in rows:
            click.echo(json.dumps({name: _machine_value(value) for name, value in row.items()}))
    else:
        cells = [[_cell(value) for value in row.values()] for row in rows]
        print_table(list(rows[0]) if rows else (), cells, nothing=nothing)


def _machine_value(value: Any) -> Any:
    return format_rfc3339(value) if isinstance(value, datetime) else value


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    # Names are people's own, and a terminal obeys what it is sent.
    return flatten(", ".join(value) if isinstance(value, list) else str(value))


# What to do about a workspace that there is not.
_WORKSPACES = "`avra workspaces list` shows those there are, and `avra create-workspace` makes one"


def find_workspace(session: Session, text: str) -> Workspace:
    """Return the workspace with that id or, if there is only one, of that name. Raises ClickException."""
    if ids.is_id("ws", text):
        found = session.get(Workspace, text)
        if found is None:
            raise click.ClickException(f"There is no workspace {text}; {_WORKSPACES}.")
        return found
    named = session.scalars(select(Workspace).where(Workspace.name == text)).all()
    if len(named) == 1:
        return named[0]
    if named:
        those = ", ".join(each.id for each in named)
        raise click.ClickException(f"Several workspaces have that name; say which by its id: {those}.")
    raise click.ClickException(f"There is no workspace {text!r}; {_WORKSPACES}.")


def find_user(session: Session, email: str) -> User:
    """Return the account with that e-mail address. Raises ClickException."""
    found = session.scalars(select(User).where(User.email == users.email_to_look_up(email))).first()
    if found is None:
        raise click.ClickException(f"There is no user {email}; `avra users list` shows those there are.")
    return found


def find_member(session: Session, workspace: Workspace, email: str) -> Member:
    """Return the member with that e-mail address. Raises ClickException."""
    member = session.get(Member, (workspace.id, find_user(session, email).id))
    if member is None:
        raise click.ClickException(f"{email} is not a member of {workspace.name}.")
    return member
