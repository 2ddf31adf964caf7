"""Logging in and out."""

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, Length, Regexp

from webhooks_app.accounts import log_in_limits, users
from webhooks_app.accounts.input_rules import LONGEST_PASSWORD
from webhooks_app.core import clock, passwords
from webhooks_app.db.models import SignInMethod, User
from webhooks_app.extensions import db, end_snapshot, services
from webhooks_app.web.access import actor, source_of
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import known_devices, log_ins, passkey_options, sessions

REFUSAL = "E-mail or password is wrong."
LOCKED = "Too many tries. Wait a quarter of an hour, or use a browser in which you were logged in before."


_WINDOW_SECONDS = round(log_in_limits.DEFAULT_LIMITS.window.total_seconds())


class LogInForm(FlaskForm):  # type: ignore[misc]
    email = StringField(validators=[DataRequired(), Length(max=254), Regexp(r"[^\x00-\x1f]*\Z")])
    password = PasswordField(validators=[DataRequired(), Length(max=LONGEST_PASSWORD)])


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(home)
    blueprint.route("/login", methods=["GET", "POST"])(log_in)
    blueprint.post("/logout")(log_out)


def home() -> PageResponse:
    if not current_user.is_authenticated:
        return redirect(url_for("session.log_in"))
    if not current_user.memberships:
        return render_template("no_workspace.html")
    return redirect(url_for("endpoints.index", workspace_id=current_user.memberships[0].workspace_id))


def log_in() -> PageResponse:
    form = LogInForm()
    if not form.is_submitted():
        return _page(form)
    if not services().settings.password_log_in:
        return _refuse(form, log_ins.NO_PASSWORDS), 403
    if not form.validate():
        return _refuse(form, REFUSAL), 422
    email = users.email_to_look_up(form.email.data)
    user = db.session.scalar(select(User).where(User.email == email))
    end_snapshot()  # hashing takes a while
    reserved = log_in_limits.allowances(email, source_of(known_devices.device_of(user)))
    if not log_in_limits.reserve(services().write, reserved, now=clock.now()):
        return _refuse(form, LOCKED), 429, {"Retry-After": str(_WINDOW_SECONDS)}
    is_right = passwords.is_password(form.password.data, user.password_hash if user else None)
    if user is None or not is_right:
        _record_refusal(email, user)
        return _refuse(form, REFUSAL), 422
    log_in_limits.give_back(services().write, reserved, now=clock.now())
    return log_ins.continue_log_in(user, SignInMethod.PASSWORD)


def _record_refusal(email: str, user: User | None) -> None:
    users.record_log_in(
        services().write,
        email=email,
        address=request.remote_addr or "",
        user_id=user.id if user else "",
        is_right=False,
    )


@login_required  # type: ignore[untyped-decorator]
def log_out() -> PageResponse:
    """End every session of the person: no cookie of theirs is good for anything afterwards."""
    ended = sessions.current()
    users.end_sessions(services().write, current_user, actor=actor(), action="session.log_out")
    session.clear()
    is_sso = ended is not None and ended.method is SignInMethod.SSO
    return redirect(url_for("session.log_in", ended="sso" if is_sso else None), 303)


def _refuse(form: LogInForm, refusal: str) -> str:
    form.form_errors.append(refusal)
    return _page(form, refusal)


def refused_page(refusal: str) -> str:
    """Return the log-in page with why another way to log in did not work."""
    return _refuse(LogInForm(formdata=None), refusal)


def _page(form: LogInForm, refusal: str = "") -> str:
    settings, target = services().settings, log_ins.safe_target(request.args.get("next"))
    return render_template(
        "log_in.html",
        form=form,
        refusal=refusal,
        can_reset=settings.mail_server is not None,
        takes_passwords=settings.password_log_in,
        provider=settings.oidc.name if settings.oidc else "",
        target=target,
        passkey_options=passkey_options.for_log_in(),
        elsewhere=_log_out_elsewhere(),
    )


def _log_out_elsewhere() -> str:
    """Return where whoever has just logged out here logs out at the provider, too, or nothing."""
    provider = services().sign_in_provider
    return provider.log_out_url() if provider and request.args.get("ended") == "sso" else ""
