"""Browsers in which an account was logged in to before, told by a signed cookie for each account.

It logs nobody in. It gives the browser tries of its own at that account's password
(`accounts/log_in_limits.py`), until the password changes or a second factor is turned on or off.
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
    """Have the browser known for the account, of which it has just given all that a log-in asks for."""
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
    """Of one account, password and second factor: who knew only what was before has no tries left over.

    Else whoever knows a password could gather browsers before the second factor is turned on, each with tries
    of its own at the codes.
    """
    assert current_app.secret_key
    salt = f"known-device {user.id} {user.password_hash}"
    if user.second_factor_at is not None:
        salt += f" {user.second_factor_at}"
    return URLSafeTimedSerializer(current_app.secret_key, salt=salt)
