"""The API tokens of a workspace: made, shown once, revoked."""

from flask import Blueprint, flash, g, redirect, render_template, url_for
from sqlalchemy import select

from webhooks_app.accounts import api_tokens, token_scopes
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock
from webhooks_app.db.models import ApiToken
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor, admin_required, load_owned
from webhooks_app.web.forms.account_forms import LIFETIMES, TokenForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sample_commands import sample_event


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.post("/")(create)
    blueprint.post("/<token_id>/revoke")(revoke)


def index() -> PageResponse:
    return _page(TokenForm(formdata=None))


@admin_required
def create() -> PageResponse:
    """Return the page itself, never stored: a redirect would need the token in a URL or a session."""
    form = TokenForm()
    if not form.validate():
        return _page(form), 422
    token = api_tokens.create(
        services().write,
        g.workspace.id,
        form.name.data,
        scopes=form.chosen_scopes(),
        expires_at=form.expires_at(clock.now()),
        actor=actor(),
    )
    return _page(TokenForm(formdata=None), token=token, sample=_sample(token, form))


@admin_required
def revoke(token_id: str) -> PageResponse:
    token = load_owned(ApiToken, token_id)
    name = token.name
    if api_tokens.revoke(services().write, token, actor=actor()):
        flash(f"API token “{name}” revoked. Requests with it are refused from now on.", "success")
    else:
        flash(f"API token “{name}” had been revoked already.", "info")
    return redirect(url_for("tokens.index"), 303)


def _page(form: TokenForm, *, token: str = "", sample: str = "") -> str:
    now = clock.now()
    tokens = db.session.scalars(
        select(ApiToken).where(ApiToken.workspace_id == g.workspace.id).order_by(ApiToken.id.desc())
    ).all()
    active = [each for each in tokens if each.is_live(now)]
    return render_template(
        "tokens/index.html",
        form=form,
        active=active,
        ended=[each for each in tokens if each not in active],
        scopes_of={each.id: token_scopes.join(token_scopes.parse(each.scopes)).split() for each in tokens},
        scopes=token_scopes.DESCRIPTIONS,
        lifetimes=[(value, label) for value, (label, _) in LIFETIMES.items()],
        token=token,
        sample=sample,
    )


def _sample(token: str, form: TokenForm) -> str:
    """Return a command that the new token may carry out, or nothing."""
    return sample_event(token) if TokenScope.EVENTS_SEND in form.chosen_scopes() else ""
