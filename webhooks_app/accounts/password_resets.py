"""Links by which somebody who lost a password sets a new one.

A link is signed, not stored. It is good for an hour, and once: what it is signed with includes the password
that it replaces, and the sessions that a log-out everywhere ends.
"""

from datetime import timedelta
from functools import partial

from webhooks_app.accounts import account_links, users
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.core.mail import Email
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import User

LINK_LIFE = timedelta(hours=1)
PATH = "/password-reset/"
_PURPOSE = "password-reset"

find_user = partial(account_links.find_user, purpose=_PURPOSE, life=LINK_LIFE)

_SUBJECT = "Set a new password"
_TEXT = """\
Somebody, probably you, asked for a new password of {email} at {base_url}.

Open this link within an hour to set one:

{link}

If you did not ask for it, do nothing: your password stays as it is.
"""


def new_token(user: User, secret_key: str) -> str:
    """Return the secret part of a link for that account."""
    return account_links.new_token(user, _PURPOSE, secret_key)


def link(base_url: str, token: str) -> str:
    return f"{base_url}{PATH}{token}"


def record_link(database: WriteDatabase, user: User, *, actor: Actor) -> None:
    """Record that a link was made, by whomever it is for or by an operator."""
    users.record(database, user.id, "profile.reset", actor=actor)


def email(user: User, base_url: str, token: str) -> Email:
    """Return the e-mail with the link."""
    text = _TEXT.format(email=user.email, base_url=base_url, link=link(base_url, token))
    return Email(ids.new("rst"), [user.email], _SUBJECT, text, clock.now())
