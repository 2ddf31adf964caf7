"""A person's own account: name, password, sessions."""

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_login import current_user

from webhooks_app.accounts import external_identities, passkeys, users
from webhooks_app.accounts import sessions as account_sessions
from webhooks_app.core import clock
from webhooks_app.db.models import UserSession
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor
from webhooks_app.web.forms.account_forms import NameForm, PasswordForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import current_password, device_names, known_devices, sessions


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(show)
    blueprint.post("/name")(change_name)
    blueprint.post("/password")(change_password)
    blueprint.post("/sessions")(end_other_sessions)
    blueprint.post("/sessions/<session_id>/end")(end_session)


def show() -> PageResponse:
    return render_profile()


def change_name() -> PageResponse:
    form = NameForm()
    if not form.validate():
        return render_profile(name_form=form), 422
    users.rename(services().write, current_user, form.name.data, actor=actor())
    flash("Name changed.", "success")
    return redirect(url_for("profile.show"), 303)


def change_password() -> PageResponse:
    """End every session but this one."""
    form = PasswordForm()
    if not services().settings.password_log_in:
        abort(404)
    if not form.validate():
        return render_profile(password_form=form), 422
    if refusal := current_password.refusal(form.current.data or ""):
        form.current.errors = [refusal]
        return render_profile(password_form=form), 422
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


def render_profile(
    *,
    name_form: NameForm | None = None,
    password_form: PasswordForm | None = None,
    renamed: str = "",
    rename_form: NameForm | None = None,
) -> str:
    """Render the page; `rename_form` stands at the passkey `renamed`, with what is wrong about it."""
    settings = services().settings
    return render_template(
        "profile/show.html",
        sessions=account_sessions.live(db.session(), current_user.id, now=clock.now()),
        this_session=sessions.current_id(),
        takes_passwords=settings.password_log_in,
        provider=settings.oidc.name if settings.oidc else "",
        identities=external_identities.read_all(db.session(), current_user.id) if settings.oidc else (),
        is_fresh=current_password.is_fresh(),
        has_passkeys=services().relying_party is not None,
        passkeys=passkeys.read_all(db.session(), current_user.id),
        renamed=renamed,
        rename_form=rename_form,
        name_form=name_form or NameForm(formdata=None, data={"name": current_user.name}),
        password_form=password_form or PasswordForm(formdata=None),
    )
