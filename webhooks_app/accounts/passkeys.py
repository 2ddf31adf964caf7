"""Passkeys: a device's key in place of password and second factor."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit, passkey_ceremonies
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.passkey_ceremonies import PasskeyAnswer, PasskeyRefused, RelyingParty
from webhooks_app.accounts.windowed_counts import WindowedLimit, key_of, take
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import Passkey, User

MOST = 20
RECORDED_REFUSALS = 10
_REFUSALS_WINDOW = timedelta(hours=1)


class TooManyPasskeys(Exception):
    """The person has `count` passkeys already, as many as there may be."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def add(
    database: WriteDatabase,
    party: RelyingParty,
    user: User,
    text: str,
    name: str,
    *,
    browser: str,
    actor: Actor,
    most: int = MOST,
) -> None:
    """Keep the passkey that a device has made.

    Raises PasskeyRefused, TooManyPasskeys where there are `most`.
    """
    answer = passkey_ceremonies.parse(party, text, passkey_ceremonies.registration_purpose(user.id, browser))
    made = passkey_ceremonies.verify_new(party, answer)
    row = {
        "id": ids.new("psk"),
        "user_id": user.id,
        "credential_id": passkey_ceremonies.base64url(made.credential_id),
        "public_key": made.credential_public_key,
        "sign_count": made.sign_count,
        "name": name,
        "created_at": clock.now(),
    }
    try:
        with database.begin() as connection:
            # Two that are added at once would both be the last that there may be.
            own = select(User.id).where(User.id == user.id)
            connection.execute(own.with_for_update(key_share=True))
            if len(connection.scalars(select(Passkey.id).where(Passkey.user_id == user.id)).all()) >= most:
                raise TooManyPasskeys(most)
            connection.execute(insert(Passkey).values(row))
            audit.record_for_person(connection, actor, "passkey.add", user.id, name=name)
    except IntegrityError:
        raise PasskeyRefused("it is known already") from None


def log_in(databases: Databases, party: RelyingParty, text: str, *, browser: str, address: str) -> str:
    """Return the id of whose passkey has answered, and use the answer up. Raises PasskeyRefused.

    What is refused of a passkey that somebody has is recorded for that person.
    """
    answer = passkey_ceremonies.parse(party, text, passkey_ceremonies.log_in_purpose(browser))
    known = _find(databases.read, answer)
    try:
        proved = passkey_ceremonies.verify(party, answer, known)
        if not _use_up(databases.write, known, proved.new_sign_count, answer):
            raise PasskeyRefused("it was used already")
    except PasskeyRefused:
        _record_refusal(databases.write, known, address)
        raise
    return known.user_id


def read_all(session: Session, user_id: str) -> Sequence[Passkey]:
    """Return the passkeys of a person, the oldest first."""
    return session.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)).all()


def rename(database: WriteDatabase, passkey: Passkey, name: str, *, actor: Actor) -> None:
    with database.begin() as connection:
        connection.execute(update(Passkey).where(Passkey.id == passkey.id).values(name=name))
        details = {"name": name, "was": passkey.name}
        audit.record_for_person(connection, actor, "passkey.rename", passkey.user_id, **details)


def remove(database: WriteDatabase, passkey: Passkey, *, actor: Actor) -> None:
    with database.begin() as connection:
        if connection.execute(delete(Passkey).where(Passkey.id == passkey.id)).rowcount:
            audit.record_for_person(connection, actor, "passkey.remove", passkey.user_id, name=passkey.name)


def _find(database: ReadDatabase, answer: PasskeyAnswer) -> Passkey:
    """Return the passkey that the answer names, if it says that it is of the same account."""
    with database.session() as session:
        named = select(Passkey).where(Passkey.credential_id == answer.credential_id)
        known = session.scalars(named).first()
    handle = answer.user_handle
    if known is None or (handle and handle != passkey_ceremonies.base64url(known.user_id.encode())):
        raise PasskeyRefused("nobody has this passkey")
    return known


def _use_up(database: WriteDatabase, known: Passkey, sign_count: int, answer: PasskeyAnswer) -> bool:
    """Return whether it is newer than whatever this passkey has answered; of several at once one is."""
    is_newer = or_(Passkey.answered_at.is_(None), Passkey.answered_at < answer.asked_at)
    used = (
        update(Passkey)
        .where(Passkey.id == known.id, Passkey.sign_count == known.sign_count, is_newer)
        .values(sign_count=sign_count, answered_at=answer.asked_at, last_used_at=clock.now())
    )
    with database.begin() as connection:
        return connection.execute(used).rowcount == 1


def _record_refusal(database: WriteDatabase, known: Passkey, address: str) -> None:
    """Record it, unless so many were lately: anybody may send answers, and the audit log keeps all rows."""
    allowance = WindowedLimit(key_of("passkey.refuse", known.user_id), RECORDED_REFUSALS)
    with database.begin() as connection:
        if not take(connection, allowance, clock.now(), _REFUSALS_WINDOW):
            return
        email = connection.scalar(select(User.email).where(User.id == known.user_id)) or ""
        actor = Actor(email, address)
        audit.record_for_person(connection, actor, "passkey.refuse", known.user_id, name=known.name)
