"""The second step of a log-in: a code of the authenticator app, or a recovery code."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from webhooks_app.accounts import log_in_limits, second_factors, users
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.log_in_limits import LogInLimits
from webhooks_app.core import clock
from webhooks_app.db.models import User
from webhooks_app.extensions import services
from webhooks_app.web.access import source_of
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import known_devices, log_ins, passkey_options

REFUSAL = "This code is wrong, or was used already. Wait for the next one."
LOCKED = "Too many wrong codes. Wait a quarter of an hour, then log in again."
LATE = "That took too long. Log in again."
# Three codes of a million are right at a time; of so many tries in a day one in 700 succeeds.
LIMITS = LogInLimits(per_account=5, per_device=5)


class CodeForm(FlaskForm):  # type: ignore[misc]
    code = StringField("Code", validators=[DataRequired("Enter a code."), Length(max=64)])

    @property
    def typed(self) -> str:
        """The code without the spaces that apps show in it."""
        return "".join((self.code.data or "").split())


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/login/second-factor")(show_second_factor)
    blueprint.post("/login/second-factor")(check_second_factor)


def show_second_factor() -> PageResponse:
    return _page(CodeForm(formdata=None)) if log_ins.waiting() else _start_again()


def check_second_factor() -> PageResponse:
    form, found = CodeForm(), log_ins.waiting()
    if found is None:
        return _start_again()
    if not form.validate():
        return _page(form), 422
    user, method = found
    device = known_devices.device_of(user)
    # Counted apart from passwords: who mistyped one a few times may still mistype a code.
    source = source_of(f"second factor {device}" if device else "")
    limits = log_in_limits.allowances(f"second factor {user.email}", source, LIMITS)
    if not log_in_limits.reserve(services().write, limits, now=clock.now()):
        form.code.errors = [LOCKED]
        return _page(form), 429
    shown = _use(user, form.typed)
    if not shown:
        actor = Actor(user.email, request.remote_addr or "")
        users.record(services().write, user.id, "second_factor.refuse", actor=actor)
        form.code.errors = [REFUSAL]
        return _page(form), 422
    log_in_limits.give_back(services().write, limits, now=clock.now())
    return log_ins.complete(user, method, second_factor=shown)


def _use(user: User, code: str) -> str:
    """Use up the code; return what it was, or nothing for one that is not right."""
    found = services()
    if second_factors.use_code(found.write, found.cipher, user.id, code, now=clock.now()):
        return "app"
    actor = Actor(user.email, request.remote_addr or "")
    return (
        "recovery code" if second_factors.use_recovery_code(found.write, user.id, code, actor=actor) else ""
    )


def _start_again() -> Response:
    flash(LATE, "info")
    return redirect(url_for("session.log_in", next=log_ins.safe_target(request.args.get("next"))), 303)


def _page(form: CodeForm) -> str:
    target = log_ins.safe_target(request.args.get("next"))
    options = passkey_options.for_log_in()
    return render_template("second_factor.html", form=form, passkey_options=options, target=target)
