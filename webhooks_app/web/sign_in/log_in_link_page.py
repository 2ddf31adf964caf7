"""What an operator's link opens: a button, as programs that look at links must not use it up."""

from flask import Blueprint, abort, render_template, request

from webhooks_app.accounts import log_in_links
from webhooks_app.accounts.audit import Actor
from webhooks_app.db.models import SignInMethod, User
from webhooks_app.extensions import db, services
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import log_ins

CLOSED = "This link was used or has expired. Ask for another."


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get(log_in_links.PATH + "<link_token>")(show_link)
    blueprint.post(log_in_links.PATH + "<link_token>")(use_link)


def show_link(link_token: str) -> PageResponse:
    return render_template("log_in_link.html", user=_load(link_token))


def use_link(link_token: str) -> PageResponse:
    user = _load(link_token)
    if not log_in_links.use(services().write, user, actor=Actor(user.email, request.remote_addr or "")):
        abort(404, CLOSED)
    return log_ins.continue_log_in(
        db.session.get_one(User, user.id, populate_existing=True), SignInMethod.LINK
    )


def _load(link_token: str) -> User:
    user = log_in_links.find_user(db.session(), link_token, services().settings.secret_key)
    if user is None:
        abort(404, CLOSED)
    return user
