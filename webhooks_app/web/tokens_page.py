"""The API tokens of a workspace: made, shown once, limited, revoked."""

from collections.abc import Sequence
from datetime import datetime

from flask import Blueprint, flash, g, redirect, render_template, url_for
from sqlalchemy import select

from webhooks_app.accounts import api_tokens, token_scopes
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.models import ApiToken, TokenAllowance
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor, admin_required, load_owned
from webhooks_app.web.forms.account_forms import LIFETIMES, RateLimitForm, TokenForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sample_commands import sample_event


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.post("/")(create)
    blueprint.post("/<token_id>/revoke")(revoke)
    blueprint.get("/<token_id>/limit")(edit_limit)
    blueprint.post("/<token_id>/limit")(change_limit)


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
        rate_per_second=form.rate.data,
        burst=form.burst.data,
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


@admin_required
def edit_limit(token_id: str) -> PageResponse:
    token = load_owned(ApiToken, token_id)
    return _limit_page(
        token, RateLimitForm(formdata=None, data={"rate": token.rate_per_second, "burst": token.burst})
    )


@admin_required
def change_limit(token_id: str) -> PageResponse:
    token = load_owned(ApiToken, token_id)
    form = RateLimitForm()
    if not form.validate():
        return _limit_page(token, form), 422
    rate, burst = form.rate.data, form.burst.data
    if api_tokens.change_limit(services().write, token, rate_per_second=rate, burst=burst, actor=actor()):
        flash(f"The rate limit of “{token.name}” is changed.", "success")
    else:
        flash(f"API token “{token.name}” is revoked; its rate limit stays.", "info")
    return redirect(url_for("tokens.index"), 303)


def _limit_page(token: ApiToken, form: RateLimitForm) -> str:
    default = services().settings.token_rate
    return render_template("tokens/limit.html", token=token, form=form, default_limit=default)


def _page(form: TokenForm, *, token: str = "", sample: str = "") -> str:
    now = clock.now()
    tokens = db.session.scalars(
        select(ApiToken).where(ApiToken.workspace_id == g.workspace.id).order_by(ApiToken.id.desc())
    ).all()
    active = [each for each in tokens if each.is_live(now)]
    default = services().settings.token_rate
    return render_template(
        "tokens/index.html",
        form=form,
        active=active,
        ended=[each for each in tokens if each not in active],
        scopes_of={each.id: token_scopes.join(token_scopes.parse(each.scopes)).split() for each in tokens},
        scopes=token_scopes.DESCRIPTIONS,
        limits={each.id: RateLimit.of(each.rate_per_second, each.burst) or default for each in tokens},
        default_limit=default,
        refused_at=_refused_at(tokens),
        lifetimes=[(value, label) for value, (label, _) in LIFETIMES.items()],
        token=token,
        sample=sample,
    )


def _refused_at(tokens: Sequence[ApiToken]) -> dict[str, datetime]:
    """Return when a request of each token was last refused for its rate, where one was."""
    columns = TokenAllowance.token_id, TokenAllowance.refused_at
    of_them = (
        TokenAllowance.token_id.in_([each.id for each in tokens]),
        TokenAllowance.refused_at.is_not(None),
    )
    return {row.token_id: row.refused_at for row in db.session.execute(select(*columns).where(*of_them))}


def _sample(token: str, form: TokenForm) -> str:
    """Return a command that the new token may carry out, or nothing."""
    return sample_event(token) if TokenScope.EVENTS_SEND in form.chosen_scopes() else ""
