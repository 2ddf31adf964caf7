"""Workspaces, users and members by what people call them."""

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from webhooks_app.accounts import users
from webhooks_app.core import ids
from webhooks_app.db.models import Member, User, Workspace

# Advice where there is no such workspace.
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
