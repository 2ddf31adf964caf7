"""The API tokens of a workspace: made, shown once, revoked."""

from flask import Blueprint, flash, g, redirect, render_template, url_for
from sqlalchemy import select

from webhooks_app.accounts import api_tokens
from webhooks_app.db.models import ApiToken
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor, admin_required, load_owned
from webhooks_app.web.forms.account_forms import NameForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sample_commands import sample_event


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.post("/")(create)
    blueprint.post("/<token_id>/revoke")(revoke)


def index() -> PageResponse:
    return _page(NameForm(formdata=None))


@admin_required
def create() -> PageResponse:
    """Return the page itself, never stored: a redirect would need the token in a URL or a session."""
    form = NameForm()
    if not form.validate():
        return _page(form), 422
    token = api_tokens.create(services().write, g.workspace.id, form.name.data, actor=actor())
    return _page(NameForm(formdata=None), token=token)


@admin_required
def revoke(token_id: str) -> PageResponse:
    token = load_owned(ApiToken, token_id)
    name = token.name
    if api_tokens.revoke(services().write, token, actor=actor()):
        flash(f"API token “{name}” revoked. Requests with it are refused from now on.", "success")
    else:
        flash(f"API token “{name}” had been revoked already.", "info")
    return redirect(url_for("tokens.index"), 303)


def _page(form: NameForm, *, token: str = "") -> str:
    tokens = db.session.scalars(
        select(ApiToken).where(ApiToken.workspace_id == g.workspace.id).order_by(ApiToken.id.desc())
    ).all()
    return render_template(
        "tokens/index.html",
        form=form,
        active=[each for each in tokens if each.revoked_at is None],
        revoked=[each for each in tokens if each.revoked_at is not None],
        token=token,
        sample=sample_event(token) if token else "",
    )
