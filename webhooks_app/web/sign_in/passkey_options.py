"""What a page asks a browser's passkeys, and what binds the question to that browser."""

from flask import session
from flask_wtf.csrf import generate_csrf

from webhooks_app.accounts import passkey_ceremonies
from webhooks_app.extensions import services


def for_log_in() -> str:
    """Return what the log-in page has a browser ask for, or nothing where there are no passkeys."""
    party = services().relying_party
    return passkey_ceremonies.request_options(party, browser=browser_key()) if party else ""


def browser_key() -> str:
    """Return what this browser's session alone holds."""
    generate_csrf()
    return str(session["csrf_token"])
