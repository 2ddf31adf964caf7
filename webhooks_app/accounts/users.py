"""User accounts: passwords and sessions."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import audit, email_addresses, sessions
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Invitation, Member, Role, User, Workspace
from webhooks_app.db.write_connection import WriteConnection

LOG_IN, REFUSE = "session.log_in", "session.refuse"


class EmailTaken(Exception):
    """There is an account with this e-mail address."""


def email_to_look_up(email: str) -> str:
    """Return the spelling under which an account is looked for, also of what is no valid address."""
    try:
        return email_addresses.normalize(email)
    except ValueError:
        return email.strip().lower()


def add(database: WriteDatabase, *, email: str, name: str, password: str) -> str:
    """Create an account; return its id. Raises EmailTaken, or ValueError for what is no e-mail address."""
    normal, hashed = email_addresses.normalize(email), passwords.hash_password(password)
    with database.begin() as connection:
        return add_in_transaction(connection, email=normal, name=name, password_hash=hashed)


def add_in_transaction(connection: WriteConnection, *, email: str, name: str, password_hash: str) -> str:
    """Create an account as `add` does, of an address in its one spelling, within the caller's transaction."""
    user_id = ids.new("usr")
    try:
        connection.execute(
            insert(User).values(
                id=user_id,
                email=email,
                name=name,
                password_hash=password_hash,
                session_key=sessions.new_key(),
                created_at=clock.now(),
            )
        )
    except IntegrityError:
        raise EmailTaken from None
    return user_id


class OnlyAdmin(Exception):
    """These workspaces, by their names, would be left without an admin."""

    def __init__(self, workspaces: Sequence[str]) -> None:
        super().__init__(", ".join(workspaces))
        self.workspaces = workspaces


def remove(database: WriteDatabase, user: User, *, actor: Actor) -> None:
    """Delete an account with its memberships and sessions. Raises OnlyAdmin.

    What they did stays in the audit log; invitations that they have or sent are closed.
    """
    theirs = or_(Invitation.email == user.email, Invitation.invited_by == user.email)
    with database.begin() as connection:
        if names := _without_other_admin(connection, user.id):
            raise OnlyAdmin(names)
        audit.record_for_person(connection, actor, "profile.remove", user.id, email=user.email)
        connection.execute(
            update(Invitation).where(theirs, Invitation.closed_at.is_(None)).values(closed_at=clock.now())
        )
        connection.execute(delete(User).where(User.id == user.id))


def _without_other_admin(connection: WriteConnection, user_id: str) -> list[str]:
    """Return the names of the workspaces whose only admin this is; their admins stay locked, in one order."""
    mine = select(Member.workspace_id).where(Member.user_id == user_id, Member.role == Role.ADMIN)
    admins = select(Member.workspace_id, Member.user_id).where(
        Member.role == Role.ADMIN, Member.workspace_id.in_(mine)
    )
    locked = connection.execute(admins.order_by(Member.workspace_id, Member.user_id).with_for_update()).all()
    shared = {row.workspace_id for row in locked if row.user_id != user_id}
    alone = {row.workspace_id for row in locked} - shared
    named = select(Workspace.name).where(Workspace.id.in_(alone)).order_by(Workspace.name)
    return list(connection.scalars(named)) if alone else []


def rename(database: WriteDatabase, user: User, name: str, *, actor: Actor) -> None:
    with database.begin() as connection:
        connection.execute(update(User).where(User.id == user.id).values(name=name))
        audit.record_for_person(connection, actor, "profile.change", user.id, name=name)


def change_password(
    database: WriteDatabase, user: User, password: str, *, actor: Actor, keep: str = ""
) -> None:
    """Change the password and end every session of the person but `keep`, which needs the new key."""
    hashed = passwords.hash_password(password)
    with database.begin() as connection:
        changed = {"password_hash": hashed} | sessions.end_all_in_transaction(connection, user.id, keep=keep)
        connection.execute(update(User).where(User.id == user.id).values(changed))
        audit.record_for_person(connection, actor, "profile.password", user.id)


def end_sessions(
    database: WriteDatabase, user: User, *, actor: Actor, keep: str = "", action: str | None = None
) -> None:
    """End every session of the person but `keep`, which needs the new key; `action` is for the audit log."""
    with database.begin() as connection:
        changed = sessions.end_all_in_transaction(connection, user.id, keep=keep)
        connection.execute(update(User).where(User.id == user.id).values(changed))
        action = action or ("session.end_others" if keep else "session.end_all")
        audit.record_for_person(connection, actor, action, user.id)


def record_log_in(
    database: WriteDatabase, *, email: str, address: str, user_id: str, is_right: bool, **details: str
) -> None:
    with database.begin() as connection:
        action = LOG_IN if is_right else REFUSE
        audit.record_for_person(connection, Actor(email[:254], address), action, user_id, **details)


def record(database: WriteDatabase, user_id: str, action: str, *, actor: Actor) -> None:
    """Record an action on the account that changes nothing of it."""
    with database.begin() as connection:
        audit.record_for_person(connection, actor, action, user_id)
