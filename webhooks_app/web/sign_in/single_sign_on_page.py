"""Logging in by an account elsewhere: to the provider, back from it, and connecting the two."""

import logging
import time
from dataclasses import asdict

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from webhooks_app.accounts import external_identities
from webhooks_app.accounts.external_identities import NotAdmitted
from webhooks_app.accounts.id_tokens import SignInRefused
from webhooks_app.accounts.oidc_provider import Claims, Flow, Provider
from webhooks_app.accounts.provider_requests import ProviderAway
from webhooks_app.db.models import SignInMethod, User
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor
from webhooks_app.web.forms.account_forms import ConfirmationForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import current_password, log_ins
from webhooks_app.web.sign_in.log_in_page import refused_page

log = logging.getLogger(__name__)

PROVIDER_AWAY = "{name} does not answer as it should just now. Try again in a minute."
REFUSED = "Logging in with {name} did not work. Try again."
NOT_SET_UP = "Single sign-on is not set up on this platform."
_FLOW, _FLOW_SECONDS = "sso", 600


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/login/sso")(go_to_provider)
    blueprint.get("/login/sso/callback")(come_back)


def add_profile_routes(blueprint: Blueprint) -> None:
    blueprint.post("/sso/connect")(connect)
    blueprint.post("/sso/disconnect")(disconnect)


def go_to_provider() -> PageResponse:
    provider = services().sign_in_provider
    if provider is None:
        return _not_set_up()
    try:
        return redirect(_begin(provider), 303)
    except ProviderAway as error:
        return _away(provider, error)


def come_back() -> PageResponse:
    """Take what the provider says, and log the person in, or connect whoever asked for that."""
    provider = services().sign_in_provider
    if provider is None:
        return _not_set_up()
    kept = session.pop(_FLOW, None)
    if kept is None or not 0 <= time.time() - kept["since"] <= _FLOW_SECONDS:
        return _refused(provider, "no flow in this browser")
    try:
        claims = provider.finish(Flow(**kept["flow"]), request.args)
        if kept["connects"]:
            return _connect(claims, kept["connects"])
        return _log_in(provider, claims, kept["next"])
    except ProviderAway as error:
        return _away(provider, error)
    except SignInRefused as error:
        return _refused(provider, str(error))
    except NotAdmitted as error:
        return refused_page(str(error)), 403


def connect() -> PageResponse:
    """Show the way to the provider, once the password has shown whose account it is that is connected."""
    provider, form = services().sign_in_provider, ConfirmationForm()
    if provider is None:
        abort(404)
    if refusal := current_password.refusal(form.current.data or ""):
        flash(refusal, "danger")
        return redirect(url_for("profile.show"), 303)
    try:
        target = _begin(provider, connects=current_user.id)
    except ProviderAway as error:
        return _away(provider, error)
    # A link, as the page's policy lets no form lead to another site.
    return render_template("profile/connect.html", provider=provider.settings.name, target=target)


def disconnect() -> PageResponse:
    form = ConfirmationForm()
    if refusal := current_password.refusal(form.current.data or ""):
        flash(refusal, "danger")
    elif external_identities.disconnect(services().write, current_user, actor=actor()):
        flash("Your account at the provider no longer logs you in here.", "success")
    return redirect(url_for("profile.show"), 303)


def _begin(provider: Provider, *, connects: str = "") -> str:
    """Remember in this browser what it has to come back with; return where it goes."""
    flow = Flow.new()
    url = provider.authorization_url(flow)
    session[_FLOW] = {
        "flow": asdict(flow),
        "next": log_ins.safe_target(request.args.get("next")),
        "connects": connects,
        "since": int(time.time()),
    }
    return url


def _log_in(provider: Provider, claims: Claims, target: str | None) -> Response:
    address = request.remote_addr or ""
    user_id = external_identities.log_in(services().write, claims, provider.settings, address=address)
    user = db.session.get_one(User, user_id, populate_existing=True)  # its key may have changed just now
    return log_ins.continue_log_in(user, SignInMethod.SSO, target=target)


def _connect(claims: Claims, user_id: str) -> Response:
    if not current_user.is_authenticated or current_user.id != user_id:
        raise SignInRefused("somebody else is logged in by now")
    external_identities.connect(services().write, claims, current_user, actor=actor())
    flash("Connected. You can log in with it from now on.", "success")
    return redirect(url_for("session.home"), 303)


def _not_set_up() -> Response:
    flash(NOT_SET_UP, "info")
    return redirect(url_for("session.log_in"), 303)


def _away(provider: Provider, error: ProviderAway) -> PageResponse:
    log.warning("sign_in_provider_away", extra={"reason": str(error)})
    return refused_page(PROVIDER_AWAY.format(name=provider.settings.name)), 503, {"Retry-After": "60"}


def _refused(provider: Provider, reason: str) -> PageResponse:
    log.warning("sign_in_refused", extra={"reason": reason, "address": request.remote_addr})
    return refused_page(REFUSED.format(name=provider.settings.name)), 403
