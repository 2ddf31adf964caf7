"""Where a second factor is demanded: who has none is led to set one up, and to nothing else."""

from flask import Response, g, make_response, redirect, url_for
from flask_login import current_user

from webhooks_app.accounts import second_factors
from webhooks_app.db.models import SignInMethod
from webhooks_app.extensions import db, services
from webhooks_app.web.responses import is_fragment
from webhooks_app.web.sign_in import sessions

# Whoever signs in so has shown what they have, or their provider has seen to it.
_ENOUGH = frozenset({SignInMethod.SSO, SignInMethod.PASSKEY})


def answer() -> Response | None:
    """Return where to lead whoever lacks the second factor that the workspace demands, or None."""
    is_demanded = services().settings.requires_second_factor or g.workspace.requires_second_factor
    if not is_demanded or is_met():
        return None
    target = url_for("profile.show_second_factor_setup")
    if is_fragment():
        response = make_response("", 403)
        response.headers["HX-Redirect"] = target
        return response
    return make_response(redirect(target, 303))


def is_met() -> bool:
    """Return whether this session has shown a second factor, or needs none."""
    session = sessions.current()
    return current_user.second_factor_at is not None or (session is not None and session.method in _ENOUGH)


def demanding() -> str:
    """Return who demands a second factor of this person, in words, or nothing."""
    if services().settings.requires_second_factor:
        return "This platform"
    return ", ".join(second_factors.requiring_workspaces(db.session(), current_user.id))
