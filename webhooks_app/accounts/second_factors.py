"""The second factor of a log-in: an authenticator app, with recovery codes for when it is lost.

An app's secret counts only once a code of it was typed. A code is good once: the step that it is of is kept,
in a statement that refuses it and every older one afterwards (RFC 6238, section 5.2).
"""

import logging
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit, recovery_codes, sessions, totp
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Member, Passkey, RecoveryCode, TotpSecret, User, Workspace
from webhooks_app.db.write_connection import WriteConnection

log = logging.getLogger(__name__)

# How long a new secret is shown and waits for its first code; the password is asked for anew after that.
SETUP_LIFE = timedelta(minutes=15)


class AlreadyOn(Exception):
    """The second factor is on; it is turned off before another app is set up."""


def begin(database: WriteDatabase, cipher: Cipher, user: User) -> None:
    """Keep a new secret for an app, in place of one that was never confirmed. Raises AlreadyOn."""
    encrypted = cipher.encrypt(user.id, totp.new_secret())
    row = {"user_id": user.id, "secret_encrypted": encrypted, "created_at": clock.now()}
    with database.begin() as connection:
        is_new = upsert.insert_or_change(
            connection,
            TotpSecret,
            row,
            key=["user_id"],
            changes={"secret_encrypted": encrypted, "created_at": row["created_at"]},
            where=TotpSecret.confirmed_at.is_(None),
        )
        if not is_new:
            raise AlreadyOn


def pending_secret(session: Session, cipher: Cipher, user_id: str) -> str:
    """Return the secret that waits for its first code, for as long as SETUP_LIFE, or nothing."""
    row = session.get(TotpSecret, user_id)
    if row is None or row.confirmed_at is not None or row.created_at <= clock.now() - SETUP_LIFE:
        return ""
    return _opened(cipher, user_id, row.secret_encrypted)


def confirm(
    database: WriteDatabase, cipher: Cipher, user: User, code: str, *, actor: Actor, keep: str
) -> list[str]:
    """Turn the second factor on, if the code is of the pending secret; return recovery codes, or none.

    Ends every session but `keep`: none of the others has shown it.
    """
    now = clock.now()
    with database.begin() as connection:
        if not _take(connection, cipher, user.id, code, now, confirms=True):
            return []
        changed = {"second_factor_at": now} | sessions.end_all_in_transaction(connection, user.id, keep=keep)
        connection.execute(update(User).where(User.id == user.id).values(changed))
        audit.record_for_person(connection, actor, "second_factor.on", user.id)
        return recovery_codes.replace_in_transaction(connection, user.id)


def use_code(database: WriteDatabase, cipher: Cipher, user_id: str, code: str, *, now: datetime) -> bool:
    """Return whether it is the app's code of this moment, and use it up."""
    with database.begin() as connection:
        return _take(connection, cipher, user_id, code, now, confirms=False)


def _take(
    connection: WriteConnection, cipher: Cipher, user_id: str, code: str, now: datetime, *, confirms: bool
) -> bool:
    is_pending = TotpSecret.confirmed_at.is_(None), TotpSecret.created_at > now - SETUP_LIFE
    is_fitting = is_pending if confirms else (TotpSecret.confirmed_at.is_not(None),)
    is_theirs = TotpSecret.user_id == user_id, *is_fitting
    encrypted = connection.scalar(select(TotpSecret.secret_encrypted).where(*is_theirs))
    secret = _opened(cipher, user_id, encrypted) if encrypted else ""
    step = totp.matching_step(secret, code, now) if secret else None
    if step is None:
        return False
    is_unused = or_(TotpSecret.last_step.is_(None), TotpSecret.last_step < step)
    changed = {"last_step": step} | ({"confirmed_at": now} if confirms else {})
    # One of several that show the same code at the same moment changes the row.
    return connection.execute(update(TotpSecret).where(*is_theirs, is_unused).values(changed)).rowcount == 1


def _opened(cipher: Cipher, user_id: str, encrypted: str) -> str:
    """Return the secret, or nothing without the key that it needs: recovery codes still let in then."""
    try:
        return cipher.decrypt(user_id, encrypted)
    except DecryptionError:
        log.error("totp_secret_unreadable", extra={"user_id": user_id})
        return ""


def use_recovery_code(database: WriteDatabase, user_id: str, code: str, *, actor: Actor) -> bool:
    """Return whether it is a recovery code of that person's, and use it up."""
    with database.begin() as connection:
        is_used = recovery_codes.use_in_transaction(connection, user_id, code)
        if is_used:
            audit.record_for_person(connection, actor, "second_factor.recover", user_id)
    return is_used


def renew_codes(database: WriteDatabase, user: User, *, actor: Actor) -> list[str]:
    """Give the person new recovery codes; those of before are good for nothing."""
    with database.begin() as connection:
        audit.record_for_person(connection, actor, "second_factor.codes", user.id)
        return recovery_codes.replace_in_transaction(connection, user.id)


def turn_off(database: WriteDatabase, user: User, *, actor: Actor) -> None:
    """Ask for no second factor any more, and forget the app and the recovery codes."""
    with database.begin() as connection:
        _forget(connection, user.id)
        connection.execute(update(User).where(User.id == user.id).values(second_factor_at=None))
        audit.record_for_person(connection, actor, "second_factor.off", user.id)


def reset(database: WriteDatabase, user: User, *, actor: Actor) -> None:
    """Turn it off for somebody who has lost it, remove their passkeys, and end all their sessions."""
    with database.begin() as connection:
        connection.execute(
            update(User).where(User.id == user.id).values(reset_in_transaction(connection, user.id))
        )
        audit.record_for_person(connection, actor, "second_factor.reset", user.id)


def reset_in_transaction(connection: WriteConnection, user_id: str) -> dict[str, str | None]:
    """Forget second factor and passkeys, and end all sessions; return what changes in the account's row."""
    _forget(connection, user_id)
    connection.execute(delete(Passkey).where(Passkey.user_id == user_id))
    return {"second_factor_at": None, **sessions.end_all_in_transaction(connection, user_id)}


def requiring_workspaces(session: Session, user_id: str) -> list[str]:
    """Return the names of the person's workspaces that demand a second factor."""
    theirs = select(Workspace.name).join(Member, Member.workspace_id == Workspace.id)
    demanding = theirs.where(Member.user_id == user_id, Workspace.requires_second_factor)
    return list(session.scalars(demanding.order_by(Workspace.name)))


def _forget(connection: WriteConnection, user_id: str) -> None:
    connection.execute(delete(TotpSecret).where(TotpSecret.user_id == user_id))
    connection.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
