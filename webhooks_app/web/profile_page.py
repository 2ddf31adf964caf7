"""A person's own account: name, password, sessions."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_login import current_user

from webhooks_app.accounts import log_in_limits, users
from webhooks_app.accounts import sessions as account_sessions
from webhooks_app.core import clock, passwords
from webhooks_app.db.models import UserSession
from webhooks_app.extensions import db, end_snapshot, services
from webhooks_app.web import device_names, known_devices, sessions
from webhooks_app.web.access import actor, source_of
from webhooks_app.web.forms.account_forms import NameForm, PasswordForm
from webhooks_app.web.responses import PageResponse


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(show)
    blueprint.post("/name")(change_name)
    blueprint.post("/password")(change_password)
    blueprint.post("/sessions")(end_other_sessions)
    blueprint.post("/sessions/<session_id>/end")(end_session)


def show() -> PageResponse:
    return _page()


def change_name() -> PageResponse:
    form = NameForm()
    if not form.validate():
        return _page(name_form=form), 422
    users.rename(services().write, current_user, form.name.data, actor=actor())
    flash("Name changed.", "success")
    return redirect(url_for("profile.show"), 303)


def change_password() -> PageResponse:
    """End every session but this one."""
    form = PasswordForm()
    if not form.validate():
        return _page(password_form=form), 422
    if refusal := _refusal(form.current.data or ""):
        form.current.errors = [refusal]
        return _page(password_form=form), 422
    keep = sessions.current_id()
    users.change_password(services().write, current_user, form.new.data, actor=actor(), keep=keep)
    user = sessions.keep(current_user.id)
    flash("Password changed. Every other session has ended.", "success")
    response = redirect(url_for("profile.show"), 303)
    known_devices.remember(response, user)
    return response


def end_other_sessions() -> PageResponse:
    users.end_sessions(services().write, current_user, actor=actor(), keep=sessions.current_id())
    sessions.keep(current_user.id)
    flash("Every other session has ended.", "success")
    return redirect(url_for("profile.show"), 303)


def end_session(session_id: str) -> PageResponse:
    """End one of one's own sessions; 404 for anybody else's."""
    ended = db.session.get(UserSession, session_id)
    if ended is None or ended.user_id != current_user.id:
        abort(404)
    is_this = ended.id == sessions.current_id()
    account_sessions.end(services().write, ended, actor=actor())
    if is_this:
        return redirect(url_for("session.log_in"), 303)
    flash(f"The session in {device_names.name_of(ended.user_agent)} has ended.", "success")
    return redirect(url_for("profile.show"), 303)


def _refusal(password: str) -> str:
    """Return why this is not taken for the person's password, or nothing; wrong ones are counted."""
    user_id, email, hashed = current_user.id, current_user.email, current_user.password_hash
    address = request.remote_addr or ""
    end_snapshot()  # hashing takes a while
    # Whoever is logged in is known here whatever strangers try.
    wanted = log_in_limits.allowances(email, source_of(device=user_id))
    if not log_in_limits.reserve(services().write, wanted, now=clock.now()):
        return "Too many wrong passwords. Wait a quarter of an hour, then try again."
    if passwords.is_password(password, hashed):
        log_in_limits.give_back(services().write, wanted, now=clock.now())
        return ""
    users.record_log_in(services().write, email=email, address=address, user_id=user_id, is_right=False)
    return "This is not your current password."


def _page(*, name_form: NameForm | None = None, password_form: PasswordForm | None = None) -> str:
    return render_template(
        "profile/show.html",
        sessions=account_sessions.live(db.session(), current_user.id, now=clock.now()),
        this_session=sessions.current_id(),
        name_form=name_form or NameForm(formdata=None, data={"name": current_user.name}),
        password_form=password_form or PasswordForm(formdata=None),
    )
