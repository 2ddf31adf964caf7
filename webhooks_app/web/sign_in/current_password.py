"""Asking for the password again, before something changes that decides who gets into the account."""

from datetime import timedelta

from flask import request
from flask_login import current_user

from webhooks_app.accounts import log_in_limits, users
from webhooks_app.core import clock, passwords
from webhooks_app.db.models import SignInMethod, UserSession
from webhooks_app.extensions import end_snapshot, services
from webhooks_app.web.access import source_of
from webhooks_app.web.sign_in import sessions

WRONG = "This is not your current password."
STALE = "Without one, log in anew and come back within a quarter of an hour."
TOO_MANY = "Too many wrong passwords. Wait a quarter of an hour, then try again."


# How long ago whoever has no password, or need not have one, may have logged in.
FRESH = timedelta(minutes=15)
_WITHOUT_PASSWORD = frozenset({SignInMethod.SSO, SignInMethod.LINK, SignInMethod.PASSKEY})


def is_fresh() -> bool:
    """Return whether the person has just logged in by another way than a password, which is proof enough."""
    found = sessions.current()
    return found is not None and _did_without(found) and clock.now() - found.created_at <= FRESH


def _did_without(found: UserSession) -> bool:
    """Return whether the session was begun without a password, which its person may not have."""
    return found.method in _WITHOUT_PASSWORD


def refusal(password: str) -> str:
    """Return why this is not taken for the person's password, or nothing; wrong ones are counted.

    None is asked for of whoever `is_fresh`.
    """
    if is_fresh():
        return ""
    if not services().settings.password_log_in:
        return STALE
    user_id, email, hashed = current_user.id, current_user.email, current_user.password_hash
    address = request.remote_addr or ""
    end_snapshot()  # hashing takes a while
    # Whoever is logged in is known here whatever strangers try.
    reserved = log_in_limits.allowances(email, source_of(device=user_id))
    if not log_in_limits.reserve(services().write, reserved, now=clock.now()):
        return TOO_MANY
    if passwords.is_password(password, hashed):
        log_in_limits.give_back(services().write, reserved, now=clock.now())
        return ""
    users.record_log_in(services().write, email=email, address=address, user_id=user_id, is_right=False)
    found = sessions.current()
    return f"{WRONG} {STALE}" if found is not None and _did_without(found) else WRONG
