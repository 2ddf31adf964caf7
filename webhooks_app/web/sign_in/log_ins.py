"""From the first factor to the session, with the second factor in between.

Whoever has shown the password, and has a second factor, is remembered in the signed cookie for a few minutes,
as somebody who may show that. It is no log-in: no page but that one looks at it.
"""

import time
from urllib.parse import urlsplit

from flask import redirect, request, session, url_for
from werkzeug.wrappers import Response

from webhooks_app.accounts import users
from webhooks_app.db.models import SignInMethod, User
from webhooks_app.extensions import db, services
from webhooks_app.web.sign_in import known_devices, sessions

WAIT_SECONDS = 600
NO_PASSWORDS = "Passwords are not taken on this platform. Log in by single sign-on."
_WAITING = "second_factor"


def continue_log_in(user: User, method: SignInMethod, *, target: str | None = None) -> Response:
    """Log the person in, or ask for the second factor, once they have shown the first.

    `target` is where they wanted to go, where the address of this request does not say so.
    """
    target = target or safe_target(request.args.get("next"))
    if user.second_factor_at is None:
        return complete(user, method, target=target)
    session.clear()
    session[_WAITING] = {"user": user.get_id(), "method": method.value, "since": int(time.time())}
    return redirect(url_for("session.show_second_factor", next=target), 303)


def complete(
    user: User, method: SignInMethod, *, target: str | None = None, second_factor: str = ""
) -> Response:
    """Log the person in and lead them to where they wanted to go; `second_factor` says what they showed."""
    details = {"second_factor": second_factor} if second_factor else {}
    if method is not SignInMethod.PASSWORD:
        details["by"] = method.value
    address = request.remote_addr or ""
    users.record_log_in(
        services().write, email=user.email, address=address, user_id=user.id, is_right=True, **details
    )
    sessions.begin(user, method)
    response = redirect(target or safe_target(request.args.get("next")) or url_for("session.home"), 303)
    known_devices.remember(response, user)
    return response


def waiting() -> tuple[User, SignInMethod] | None:
    """Return who has shown the first factor a moment ago, and which, or None."""
    found = session.get(_WAITING)
    if found is None or not 0 <= time.time() - found["since"] <= WAIT_SECONDS:
        return None
    user_id, _, key = found["user"].partition(":")
    user = db.session.get(User, user_id)
    if user is None or user.session_key != key or user.second_factor_at is None:
        return None
    return user, SignInMethod(found["method"])


def safe_target(target: str | None) -> str | None:
    """Return the target if it is a path of this console: a log-in must lead nobody elsewhere."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if "\\" in target or not target.isprintable():
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    return target if not parts.scheme and not parts.netloc else None
