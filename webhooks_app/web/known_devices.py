"""Browsers in which an account was logged in to before, told by a signed cookie for each account.

It logs nobody in. It gives the browser tries of its own at that account's password
(`accounts/log_in_limits.py`), until the password changes.
"""

import secrets
from datetime import timedelta

from flask import current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from webhooks_app.db.models import User

REMEMBERED = timedelta(days=365)


def device_of(user: User | None) -> str:
    """Return the id of this browser if it is known for that account, or nothing."""
    if user is None:
        return ""
    try:
        seconds = REMEMBERED.total_seconds()
        return str(_serializer(user).loads(request.cookies.get(_cookie(user), ""), max_age=int(seconds)))
    except BadData:
        return ""


def remember(response: Response, user: User) -> None:
    """Have the browser known for the account, whose password it has just given."""
    device = device_of(user) or secrets.token_urlsafe(16)
    response.set_cookie(
        _cookie(user),
        _serializer(user).dumps(device),
        max_age=REMEMBERED,
        path=current_app.config["SESSION_COOKIE_PATH"],
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _cookie(user: User) -> str:
    return f"{current_app.config['COOKIE_NAME_PREFIX']}device-{user.id}"


def _serializer(user: User) -> URLSafeTimedSerializer:
    """Of one account and one password: who knew the one before has no tries left over from it."""
    assert current_app.secret_key
    return URLSafeTimedSerializer(current_app.secret_key, salt=f"known-device {user.id} {user.password_hash}")
