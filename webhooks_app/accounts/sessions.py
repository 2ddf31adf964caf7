"""Sessions: browsers in which somebody is logged in, each of which can be ended by itself.

A cookie names one by a random token, of which only the hash is kept. Beside it stands the account's
`session_key`: changing that ends all sessions at once, those of versions without this table included.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids, passwords
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import SignInMethod, UserSession
from webhooks_app.db.models.sign_in_tables import LONGEST_USER_AGENT
from webhooks_app.db.write_connection import WriteConnection

# As long as the cookie is good, counted from the last page that changed it.
LIFE = timedelta(days=31)
# `last_seen_at` is for people; writing it on each request would cost a transaction each.
LAST_SEEN_PRECISION = timedelta(minutes=5)
# More than anybody looks through.
LISTED = 50


@dataclass(frozen=True, slots=True)
class Browser:
    """From where a request comes, and with what."""

    address: str
    user_agent: str = ""


def begin(database: WriteDatabase, user_id: str, method: SignInMethod, browser: Browser) -> str:
    """Begin a session; return the token for its cookie."""
    token = secrets.token_urlsafe(32)
    with database.begin() as connection:
        connection.execute(insert(UserSession).values(_row(user_id, token, method, browser)))
    return token


def adopt(database: WriteDatabase, user_id: str, token: str, browser: Browser) -> None:
    """List a session that a version without this table has begun, unless it is listed already."""
    with database.begin() as connection:
        upsert.insert_if_new(connection, UserSession, _row(user_id, token, SignInMethod.UNKNOWN, browser))


def _row(user_id: str, token: str, method: SignInMethod, browser: Browser) -> dict[str, object]:
    now = clock.now()
    return {
        "id": ids.new("ses"),
        "user_id": user_id,
        "token_hash": passwords.hash_token(token),
        "method": method,
        "address": browser.address[:64],
        "user_agent": browser.user_agent[:LONGEST_USER_AGENT],
        "created_at": now,
        "last_seen_at": now,
    }


def record_use(database: WriteDatabase, used: UserSession, browser: Browser) -> None:
    """Record that the session is used now and from where, unless that was recorded a moment ago."""
    now = clock.now()
    if now - used.last_seen_at <= LAST_SEEN_PRECISION:
        return
    with database.begin() as connection:
        connection.execute(
            update(UserSession)
            .where(UserSession.id == used.id, UserSession.last_seen_at < now - LAST_SEEN_PRECISION)
            .values(last_seen_at=now, address=browser.address[:64])
        )


def live(session: Session, user_id: str, *, now: datetime) -> Sequence[UserSession]:
    """Return the sessions of a person that may still be used, the last used first."""
    mine = select(UserSession).where(UserSession.user_id == user_id, UserSession.ended_at.is_(None))
    ordered = mine.order_by(UserSession.last_seen_at.desc(), UserSession.id.desc()).limit(LISTED)
    return session.scalars(ordered.where(UserSession.last_seen_at > now - LIFE)).all()


def end(database: WriteDatabase, ended: UserSession, *, actor: Actor, action: str = "session.end") -> bool:
    """End one session; False if it had ended before."""
    is_live = UserSession.id == ended.id, UserSession.ended_at.is_(None)
    with database.begin() as connection:
        is_mine = connection.execute(update(UserSession).where(*is_live).values(ended_at=clock.now()))
        if is_mine.rowcount:
            audit.record_for_person(connection, actor, action, ended.user_id, session=ended.id)
    return is_mine.rowcount == 1


def end_all_in_transaction(connection: WriteConnection, user_id: str, *, keep: str = "") -> dict[str, str]:
    """End each session of a person but `keep`; return the new key for the account's row."""
    others = UserSession.user_id == user_id, UserSession.ended_at.is_(None), UserSession.id != keep
    connection.execute(update(UserSession).where(*others).values(ended_at=clock.now()))
    return {"session_key": new_key()}


def new_key() -> str:
    return secrets.token_urlsafe(24)
