"""For whoever lost a password: asking for a link by e-mail, and setting a new password by a link."""

import logging
import threading
import time

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from sqlalchemy import select

from webhooks_app.accounts import log_in_limits, password_resets, users
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, mail
from webhooks_app.core.mail import Email, MailError, MailServer
from webhooks_app.db.models import User
from webhooks_app.extensions import db, services
from webhooks_app.web.access import source_of
from webhooks_app.web.forms.account_forms import AskForResetForm, NewPasswordForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import log_ins

log = logging.getLogger(__name__)

CLOSED = "This link was used or has expired. Ask for another."
TOO_MANY = "Too many links were asked for from here. Wait a quarter of an hour."
# A server that is being restarted is back by then; whoever waits for the e-mail asks again afterwards.
_PAUSES_SECONDS = (5.0, 30.0)


def add_routes(blueprint: Blueprint) -> None:
    blueprint.route("/", methods=["GET", "POST"])(ask)
    blueprint.get("/<reset_token>")(show)
    blueprint.post("/<reset_token>")(set_password)


def ask() -> PageResponse:
    """Answer alike whether there is such an account or not, in text and in time."""
    server = services().settings.mail_server
    if server is None or not services().settings.password_log_in:
        abort(404)
    form = AskForResetForm()
    if not form.is_submitted():
        return _ask_page(form)
    if not form.validate():
        return _ask_page(form), 422
    email = str(form.email.data)
    if not _may_ask(email):
        return _ask_page(form, refusal=TOO_MANY), 429
    user = db.session.scalars(select(User).where(User.email == email)).first()
    if user is not None:
        _send(server, user)
    return _ask_page(form, sent_to=email)


def _may_ask(email: str) -> bool:
    """Count the try by account and address, as tries of a password are."""
    reserved = log_in_limits.allowances(f"reset {email}", source_of(""))
    return log_in_limits.reserve(services().write, reserved, now=clock.now())


def _send(server: MailServer, user: User) -> None:
    settings = services().settings
    token = password_resets.new_token(user, settings.secret_key)
    email = password_resets.email(user, settings.base_url, token)
    password_resets.record_link(services().write, user, actor=Actor(user.email, request.remote_addr or ""))
    # A server may take seconds, by which the answer would show that there is such an account.
    threading.Thread(target=_send_patiently, args=(server, email), name="reset mail", daemon=True).start()


def _send_patiently(server: MailServer, email: Email) -> None:
    for pause in (*_PAUSES_SECONDS, None):
        try:
            mail.send(server, email)
            return
        except MailError as error:
            log.warning("mail_failed", extra={"email_id": email.id, "reason": str(error)})
        if pause is not None:
            time.sleep(pause)


def _ask_page(form: AskForResetForm, *, refusal: str = "", sent_to: str = "") -> str:
    return render_template("password_resets/ask.html", form=form, refusal=refusal, sent_to=sent_to)


def show(reset_token: str) -> PageResponse:
    return _page(_load(reset_token), NewPasswordForm(formdata=None))


def set_password(reset_token: str) -> PageResponse:
    """Set it, which ends every session, and have the person log in with it."""
    user, form = _load(reset_token), NewPasswordForm()
    if not form.validate():
        return _page(user, form), 422
    actor = Actor(user.email, request.remote_addr or "")
    users.change_password(services().write, user, form.password.data or "", actor=actor)
    flash("Password changed. Log in with the new one.", "success")
    return redirect(url_for("session.log_in"), 303)


def _load(reset_token: str) -> User:
    """Return whose link it is; 404 alike for one that never was and one that is over."""
    if not services().settings.password_log_in:
        abort(404, log_ins.NO_PASSWORDS)
    user = password_resets.find_user(db.session(), reset_token, services().settings.secret_key)
    if user is None:
        abort(404, CLOSED)
    return user


def _page(user: User, form: NewPasswordForm) -> str:
    return render_template("password_resets/show.html", user=user, form=form)
