"""User accounts: passwords, sessions, and the limit on log-ins."""

import ipaddress
import secrets
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, passwords
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.models import AuditEntry, Member, User

# By account, so that one is not guessed at from many addresses, and by address, so that one address does not
# try a password on many accounts (OWASP, Authentication Cheat Sheet, "Login throttling").
FAILED_LOG_INS_PER_ACCOUNT = 10
FAILED_LOG_INS_PER_ADDRESS = 30
FAILED_LOG_IN_WINDOW = timedelta(minutes=15)

LOG_IN, REFUSE = "session.log_in", "session.refuse"


class EmailTaken(Exception):
    """There is an account with this e-mail address."""


def normalize_email(email: str) -> str:
    """Return the address in lower case, its domain as DNS has it where possible: one address, one account."""
    local, at, domain = email.strip().lower().rpartition("@")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode()
    return local + at + domain


def limit_key(address: str) -> str:
    """Return what log-ins are counted by: of IPv6 the /64, since whoever has one address has 2^64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def add(database: WriteDatabase, *, email: str, name: str, password: str) -> str:
    """Create an account; return its id. Raises EmailTaken."""
    with database.begin() as connection:
        return add_in(connection, email=email, name=name, password_hash=passwords.hash_password(password))


def add_in(connection: Connection, *, email: str, name: str, password_hash: str) -> str:
    """Create an account within the caller's transaction; return its id. Raises EmailTaken."""
    user_id = ids.new("usr")
    try:
        connection.execute(
            insert(User).values(
                id=user_id,
                email=normalize_email(email),
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
        _audit(connection, Actor(email[:254], address), action, user_id, counted_by=limit_key(address))


def is_locked(database: ReadDatabase, *, email: str, address: str, now: datetime) -> bool:
    """Tell whether too many log-ins of this account, or from this address, were refused lately."""
    with database.connect() as connection:
        by_account = _refusals(connection, AuditEntry.actor == email[:254], now)
        return (
            by_account >= FAILED_LOG_INS_PER_ACCOUNT
            or _refusals(connection, AuditEntry.address == limit_key(address), now)
            >= FAILED_LOG_INS_PER_ADDRESS
        )


def _refusals(connection: Connection, whose: ColumnElement[bool], now: datetime) -> int:
    lately = select(func.count()).where(
        AuditEntry.action == REFUSE,
        AuditEntry.created_at > now - FAILED_LOG_IN_WINDOW,
        AuditEntry.workspace_id.is_(None),
        whose,
    )
    return int(connection.scalars(lately).one())


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _audit(
    connection: Connection, actor: Actor, action: str, user_id: str, *, counted_by: str = "", **details: str
) -> None:
    """One row for the account, and one for each workspace that its person is a member of.

    The account's own may bear what its address counts as instead.
    """
    mine = select(Member.workspace_id).where(Member.user_id == user_id).order_by(Member.workspace_id)
    now = clock.now()
    for workspace_id in (None, *connection.scalars(mine)):
        whose = Actor(actor.name, counted_by) if counted_by and workspace_id is None else actor
        audit.record(connection, whose, action, workspace_id=workspace_id, target=user_id, now=now, **details)
