"""Which account belongs to a person whom the identity provider names: a new one, an existing one, or none.

An identity is issuer and subject, which a provider gives to nobody else. An e-mail address proves nothing
unless the provider has verified it; an account that is there already is linked to by its address only where
the deployment says so, or by whoever is logged in to it. In the first case nothing else opens the account
from then on: somebody who does not have that address may have made it, and would have the person's roles.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, not_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit, email_addresses, group_roles, input_rules, second_factors, users
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.oidc_provider import Claims
from webhooks_app.core import clock, passwords
from webhooks_app.core.oidc_settings import OidcSettings
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ExternalIdentity, User
from webhooks_app.db.write_connection import WriteConnection


class NotAdmitted(Exception):
    """Whoever it is has no account here and gets none; the message is for them."""


NO_EMAIL = "The provider did not give your e-mail address. Ask whoever runs it to send the “email” claim."
UNVERIFIED = "The provider says that your e-mail address is not verified. Verify it there, then try again."
BAD_EMAIL = "The provider gave an e-mail address that cannot be used."
NO_GROUP = "None of your groups has access to this platform. Ask whoever looks after them."
TAKEN = (
    "Your e-mail address has an account here. Log in by password, then connect the two under Your profile."
)
# For the audit log: what no longer opens an account that its address was linked by.
_ENDED = "password, two-factor authentication, passkeys, sessions, other identities"
OTHERS = "This identity belongs to another account here."


@dataclass(frozen=True, slots=True)
class _New:
    email: str
    name: str
    password_hash: str


def log_in(database: WriteDatabase, claims: Claims, settings: OidcSettings, *, address: str) -> str:
    """Return the id of the person's account, after making or linking it and setting their roles.

    Raises NotAdmitted.
    """
    actor = Actor(claims.email[:254] or claims.subject[:254], address)
    user_id = _known(database, claims)
    if user_id is None:
        user_id = _admit(database, claims, settings, actor)
    group_roles.apply(database, user_id, claims.groups, settings.grants)
    return user_id


def connect(database: WriteDatabase, claims: Claims, user: User, *, actor: Actor) -> None:
    """Have the identity log in to that account from now on. Raises NotAdmitted."""
    owner = _known(database, claims)
    if owner not in (None, user.id):
        raise NotAdmitted(OTHERS)
    if owner is None:
        with database.begin() as connection:
            _link(connection, claims, user.id)
            audit.record_for_person(connection, actor, "sso.connect", user.id, issuer=claims.issuer)


def disconnect(database: WriteDatabase, user: User, *, actor: Actor) -> bool:
    """Forget the identities of the account; False where it has none."""
    with database.begin() as connection:
        gone = connection.execute(
            delete(ExternalIdentity).where(ExternalIdentity.user_id == user.id)
        ).rowcount
        if gone:
            audit.record_for_person(connection, actor, "sso.disconnect", user.id)
    return gone > 0


def read_all(session: Session, user_id: str) -> Sequence[ExternalIdentity]:
    """Return the identities that log in to the account."""
    theirs = select(ExternalIdentity).where(ExternalIdentity.user_id == user_id)
    return session.scalars(theirs.order_by(ExternalIdentity.created_at)).all()


def _known(database: WriteDatabase, claims: Claims) -> str | None:
    is_this = ExternalIdentity.issuer == claims.issuer, ExternalIdentity.subject == claims.subject
    with database.begin() as connection:
        found: str | None = connection.scalar(select(ExternalIdentity.user_id).where(*is_this))
        if found is not None:
            connection.execute(update(ExternalIdentity).where(*is_this).values(last_used_at=clock.now()))
    return found


def _admit(database: WriteDatabase, claims: Claims, settings: OidcSettings, actor: Actor) -> str:
    """Link an account that is there, or make one."""
    if not claims.email:
        raise NotAdmitted(NO_EMAIL)
    if not claims.is_email_verified:
        raise NotAdmitted(UNVERIFIED)
    new = _new(claims)
    try:
        with database.begin() as connection:
            user_id: str | None = connection.scalar(select(User.id).where(User.email == new.email))
            if user_id is not None and not settings.links_by_email:
                raise NotAdmitted(TAKEN)
            is_there = user_id is not None
            if user_id is None:
                if settings.grants and not group_roles.granted_roles(claims.groups, settings.grants):
                    raise NotAdmitted(NO_GROUP)
                user_id = users.add_in_transaction(
                    connection, email=new.email, name=new.name, password_hash=new.password_hash
                )
            _link(connection, claims, user_id)
            if is_there:
                audit.record_for_person(
                    connection, actor, "sso.connect", user_id, issuer=claims.issuer, ended=_ENDED
                )
                _close_to_others(connection, claims, user_id, new.password_hash)
            else:  # no news to whoever has the account by it
                audit.record_in_each_workspace(
                    connection, actor, "sso.connect", user_id, now=clock.now(), issuer=claims.issuer
                )
    except (IntegrityError, users.EmailTaken):  # the same person, twice at the same moment
        found = _known(database, claims)
        if found is None:
            raise NotAdmitted(TAKEN) from None
        return found
    return user_id


def _new(claims: Claims) -> _New:
    try:
        email = email_addresses.normalize(claims.email)
    except ValueError:
        raise NotAdmitted(BAD_EMAIL) from None
    try:
        name = input_rules.check_name(claims.name[: input_rules.LONGEST_NAME])
    except ValueError:
        name = email.partition("@")[0]
    # One that nobody knows; a link by e-mail, or from an operator, sets another.
    return _New(email, name, passwords.hash_password(secrets.token_urlsafe(32)))


def _close_to_others(connection: WriteConnection, claims: Claims, user_id: str, password_hash: str) -> None:
    """Leave this identity the only one that opens the account, whoever has made it."""
    is_this = and_(ExternalIdentity.issuer == claims.issuer, ExternalIdentity.subject == claims.subject)
    connection.execute(delete(ExternalIdentity).where(ExternalIdentity.user_id == user_id, not_(is_this)))
    changed = {"password_hash": password_hash} | second_factors.reset_in_transaction(connection, user_id)
    connection.execute(update(User).where(User.id == user_id).values(changed))


def _link(connection: WriteConnection, claims: Claims, user_id: str) -> None:
    now = clock.now()
    connection.execute(
        insert(ExternalIdentity).values(
            issuer=claims.issuer,
            subject=claims.subject,
            user_id=user_id,
            created_at=now,
            last_used_at=now,
        )
    )
