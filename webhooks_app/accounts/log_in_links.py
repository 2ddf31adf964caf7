"""Links that log somebody in without a password, from an operator's shell: for when the provider is away.

A link is signed, not stored. It is good for ten minutes, and once, as it ends every session of the account:
what it is signed with includes the key that these share.
"""

from datetime import timedelta
from functools import partial

from sqlalchemy import update

from webhooks_app.accounts import account_links, audit, sessions
from webhooks_app.accounts.audit import Actor
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import User

LINK_LIFE = timedelta(minutes=10)
PATH = "/login/link/"
_PURPOSE = "log-in-link"

find_user = partial(account_links.find_user, purpose=_PURPOSE, life=LINK_LIFE)


def new_link(user: User, base_url: str, secret_key: str) -> str:
    return f"{base_url}{PATH}{account_links.new_token(user, _PURPOSE, secret_key)}"


def use(database: WriteDatabase, user: User, *, actor: Actor) -> bool:
    """Use the link up; False where another request was faster."""
    with database.begin() as connection:
        changed = sessions.end_all_in_transaction(connection, user.id)
        is_same = User.id == user.id, User.session_key == user.session_key
        is_used = connection.execute(update(User).where(*is_same).values(changed)).rowcount == 1
        if is_used:
            audit.record_for_person(connection, actor, "session.link", user.id)
    return is_used
