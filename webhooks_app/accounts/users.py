"""User accounts: passwords and sessions."""

import secrets

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import audit, email_addresses
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, passwords
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Member, User

LOG_IN, REFUSE = "session.log_in", "session.refuse"


class EmailTaken(Exception):
    """There is an account with this e-mail address."""


def normalize_email(email: str) -> str:
    """Return the spelling under which an account is looked for, also of what is no valid address."""
    try:
        return email_addresses.normalize(email)
    except ValueError:
        return email.strip().lower()


def add(database: WriteDatabase, *, email: str, name: str, password: str) -> str:
    """Create an account; return its id. Raises EmailTaken, or ValueError for what is no e-mail address."""
    normal, hashed = email_addresses.normalize(email), passwords.hash_password(password)
    with database.begin() as connection:
        return add_in(connection, email=normal, name=name, password_hash=hashed)


def add_in(connection: Connection, *, email: str, name: str, password_hash: str) -> str:
    """Create an account as `add` does, of an address in its one spelling, within the caller's transaction."""
    user_id = ids.new("usr")
    try:
        connection.execute(
            insert(User).values(
                id=user_id,
                email=email,
                name=name,
                password_hash=password_hash,
                session_key=_new_key(),
                created_at=clock.now(),
            )
        )
    except IntegrityError:
        raise EmailTaken from None
    return user_id


def rename(database: WriteDatabase, user: User, name: str, *, actor: Actor) -> None:
    with database.begin() as connection:
        connection.execute(update(User).where(User.id == user.id).values(name=name))
        _audit(connection, actor, "profile.change", user.id, name=name)


def change_password(database: WriteDatabase, user: User, password: str, *, actor: Actor) -> None:
    """Change the password and end every session of the person, the caller's included."""
    hashed = passwords.hash_password(password)
    with database.begin() as connection:
        connection.execute(
            update(User).where(User.id == user.id).values(password_hash=hashed, session_key=_new_key())
        )
        _audit(connection, actor, "profile.password", user.id)


def end_sessions(database: WriteDatabase, user: User, *, actor: Actor) -> None:
    """End every session of the person."""
    with database.begin() as connection:
        connection.execute(update(User).where(User.id == user.id).values(session_key=_new_key()))
        _audit(connection, actor, "session.end_all", user.id)


def record_log_in(database: WriteDatabase, *, email: str, address: str, user_id: str, is_right: bool) -> None:
    with database.begin() as connection:
        action = LOG_IN if is_right else REFUSE
        _audit(connection, Actor(email[:254], address), action, user_id)


def record(database: WriteDatabase, user_id: str, action: str, *, actor: Actor) -> None:
    """Record an action on the account that changes nothing of it."""
    with database.begin() as connection:
        _audit(connection, actor, action, user_id)


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _audit(connection: Connection, actor: Actor, action: str, user_id: str, **details: str) -> None:
    """One row for the account, and one for each workspace that its person is a member of."""
    mine = select(Member.workspace_id).where(Member.user_id == user_id).order_by(Member.workspace_id)
    now = clock.now()
    for workspace_id in (None, *connection.scalars(mine)):
        audit.record(connection, actor, action, workspace_id=workspace_id, target=user_id, now=now, **details)
