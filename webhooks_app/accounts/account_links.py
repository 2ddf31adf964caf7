"""The signed part of a link for one account, which is not stored.

It is signed with the account's password and session key, so a use of it that changes either is the last one.
"""

import hashlib
from datetime import timedelta
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.db.models import User


def new_token(user: User, purpose: str, secret_key: str) -> str:
    """Return the secret part of a link for that account, good for that purpose alone."""
    return _serializer(user, purpose, secret_key).dumps(user.id)


def find_user(session: Session, token: str, secret_key: str, *, purpose: str, life: timedelta) -> User | None:
    """Return whose link it is, or None: used, expired, of another purpose, or never made."""
    user_id = _claimed_id(token, secret_key)
    user = session.get(User, user_id) if user_id else None
    if user is None:
        return None
    try:
        _serializer(user, purpose, secret_key).loads(token, max_age=int(life.total_seconds()))
    except BadData:
        return None
    return user


def _claimed_id(token: str, secret_key: str) -> str | None:
    """Return which account the link says that it is for, which only its signature proves."""
    claimed: Any = URLSafeTimedSerializer(secret_key).loads_unsafe(token)[1]
    return claimed if isinstance(claimed, str) and ids.is_id("usr", claimed) else None


def _serializer(user: User, purpose: str, secret_key: str) -> URLSafeTimedSerializer:
    changing = hashlib.sha256(f"{user.password_hash} {user.session_key}".encode()).hexdigest()
    return URLSafeTimedSerializer(secret_key, salt=f"{purpose} {user.id} {changing}")
