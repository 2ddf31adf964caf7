"""Logging in and out."""

from urllib.parse import urlsplit

from flask import Blueprint, Flask, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required, login_user
from flask_wtf import FlaskForm
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, Length, Regexp

from webhooks_app.accounts import users
from webhooks_app.core import clock, passwords
from webhooks_app.db.models import User
from webhooks_app.extensions import db, end_snapshot, login, services
from webhooks_app.web.access import actor
from webhooks_app.web.forms.account_forms import LONGEST_PASSWORD

blueprint = Blueprint("session", __name__)

REFUSAL = "E-mail or password is wrong."
LOCKED = "Too many tries. Wait a quarter of an hour, then try again."


class LogInForm(FlaskForm):  # type: ignore[misc]
    email = StringField(validators=[DataRequired(), Length(max=254), Regexp(r"[^\x00-\x1f]*\Z")])
    password = PasswordField(validators=[DataRequired(), Length(max=LONGEST_PASSWORD)])


def register(app: Flask) -> None:
    app.register_blueprint(blueprint)


@login.user_loader  # type: ignore[untyped-decorator]
def _load_user(session_id: str) -> User | None:
    user_id, _, key = session_id.partition(":")
    user = db.session.get(User, user_id)
    return user if user is not None and user.session_key == key else None


@blueprint.get("/")
def home() -> Response | str:
    if not current_user.is_authenticated:
        return redirect(url_for("session.log_in"))
    if not current_user.memberships:
        return render_template("no_workspace.html")
    return redirect(url_for("endpoints.index", workspace_id=current_user.memberships[0].workspace_id))


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> Response | str | tuple[str, int]:
    form = LogInForm()
    if not form.is_submitted():
        return render_template("log_in.html", form=form)
    if form.validate() and _is_locked(form):
        return _refused(form, LOCKED), 429
    user = _authenticated(form) if form.validate() else None
    if user is None:
        return _refused(form, REFUSAL), 422
    session.clear()  # nothing from before the log-in goes on after it
    login_user(user)
    return redirect(_inside(request.args.get("next")) or url_for("session.home"), 303)


@blueprint.post("/logout")
@login_required  # type: ignore[untyped-decorator]
def log_out() -> Response:
    users.end_sessions(services().write, current_user, actor=actor())
    session.clear()
    return redirect(url_for("session.log_in"), 303)


def _refused(form: LogInForm, words: str) -> str:
    form.form_errors.append(words)
    return render_template("log_in.html", form=form, refusal=words)


def _is_locked(form: LogInForm) -> bool:
    email = users.normalize_email(form.email.data)
    return users.is_locked(services().read, email=email, address=request.remote_addr or "", now=clock.now())


def _authenticated(form: LogInForm) -> User | None:
    email = users.normalize_email(form.email.data)
    user = db.session.scalar(select(User).where(User.email == email))
    end_snapshot()  # hashing takes a while
    is_right = passwords.is_password(form.password.data, user.password_hash if user else None)
    users.record_log_in(
        services().write,
        email=email,
        address=request.remote_addr or "",
        user_id=user.id if user else "",
        is_right=is_right,
    )
    return user if is_right else None


def _inside(target: str | None) -> str | None:
    """The target when it is a path of this console, so that nobody is sent elsewhere after the log-in."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if "\\" in target or not target.isprintable():
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    return target if not parts.scheme and not parts.netloc else None
