"""Passkeys: logging in with one, adding one to one's account, renaming and removing it."""

import logging

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import HiddenField, StringField
from wtforms.validators import DataRequired, Length

from webhooks_app.accounts import passkey_ceremonies, passkeys
from webhooks_app.accounts.passkey_ceremonies import LARGEST_ANSWER, PasskeyRefused, RelyingParty
from webhooks_app.accounts.passkeys import TooManyPasskeys
from webhooks_app.db.models import Passkey, SignInMethod, User
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor
from webhooks_app.web.forms.account_forms import ConfirmationForm, NameForm, check_name
from webhooks_app.web.profile_page import render_profile
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import current_password, device_names, log_ins
from webhooks_app.web.sign_in.log_in_page import refused_page
from webhooks_app.web.sign_in.passkey_options import browser_key

log = logging.getLogger(__name__)

REFUSED = "This passkey is not known here, or the page was open for too long. Try again."
NOT_ADDED = (
    "The passkey was not added: the page was open for too long, or the device gave no proof. Try again."
)


class AnswerForm(FlaskForm):  # type: ignore[misc]
    """What a device says, which passkeys.js fills in."""

    answer = HiddenField(validators=[DataRequired(), Length(max=LARGEST_ANSWER)])


class NewPasskeyForm(AnswerForm):
    name = StringField("Name", validators=[check_name])


def add_routes(blueprint: Blueprint) -> None:
    blueprint.post("/login/passkey")(log_in_with_passkey)


def add_profile_routes(blueprint: Blueprint) -> None:
    blueprint.post("/passkeys/begin")(begin_passkey)
    blueprint.post("/passkeys")(add_passkey)
    blueprint.post("/passkeys/<passkey_id>/rename")(rename_passkey)
    blueprint.post("/passkeys/<passkey_id>/remove")(remove_passkey)


def log_in_with_passkey() -> PageResponse:
    """Log in whoever's passkey it is: the device has seen to it that it is they, so nothing else is asked."""
    form, party, browser = AnswerForm(), _party(), browser_key()
    if not form.validate():
        return refused_page(REFUSED), 422
    try:
        user_id = passkeys.log_in(
            services().databases, party, form.answer.data, browser=browser, address=request.remote_addr or ""
        )
    except PasskeyRefused as error:
        log.info("passkey_refused", extra={"reason": str(error), "address": request.remote_addr})
        return refused_page(REFUSED), 422
    return log_ins.complete(db.session.get_one(User, user_id), SignInMethod.PASSKEY)


def begin_passkey() -> PageResponse:
    """Show the page that has the browser make one, once the password has shown whose account it is for."""
    _party()
    form = ConfirmationForm()
    if refusal := current_password.refusal(form.current.data or ""):
        flash(refusal, "danger")
        return redirect(url_for("profile.show"), 303)
    name = device_names.name_of(request.user_agent.string)
    return _page(NewPasskeyForm(formdata=None, data={"name": name[:1].upper() + name[1:]}))


def add_passkey() -> PageResponse:
    form, party, browser = NewPasskeyForm(), _party(), browser_key()
    if not form.validate():
        return _ask_again(form, party, browser)
    answer, name = str(form.answer.data), str(form.name.data)
    try:
        passkeys.add(services().write, party, current_user, answer, name, browser=browser, actor=actor())
    except PasskeyRefused as error:
        log.info("passkey_not_added", extra={"reason": str(error)})
        flash(NOT_ADDED, "danger")
    except TooManyPasskeys as error:
        flash(f"You have {error.count} passkeys. Remove one first.", "danger")
    else:
        flash(f"Passkey “{name}” added. It logs you in from now on.", "success")
    return redirect(url_for("profile.show"), 303)


def rename_passkey(passkey_id: str) -> PageResponse:
    found, form = _load(passkey_id), NameForm()
    if not form.validate():
        return render_profile(renamed=found.id, rename_form=form), 422
    passkeys.rename(services().write, found, str(form.name.data), actor=actor())
    flash(f"The passkey is called “{form.name.data}” now.", "success")
    return redirect(url_for("profile.show"), 303)


def _load(passkey_id: str) -> Passkey:
    """Return one of one's own; 404 for anybody else's."""
    found = db.session.get(Passkey, passkey_id)
    if found is None or found.user_id != current_user.id:
        abort(404)
    return found


def remove_passkey(passkey_id: str) -> PageResponse:
    found = _load(passkey_id)
    passkeys.remove(services().write, found, actor=actor())
    flash(f"Passkey “{found.name}” removed. Delete it on its device, too.", "success")
    return redirect(url_for("profile.show"), 303)


def _party() -> RelyingParty:
    party = services().relying_party
    if party is None:
        abort(404)
    return party


def _ask_again(form: NewPasskeyForm, party: RelyingParty, browser: str) -> PageResponse:
    """Show the page anew, but only to whom `begin_passkey` has shown it, which takes the password."""
    purpose = passkey_ceremonies.registration_purpose(current_user.id, browser)
    try:
        passkey_ceremonies.parse(party, form.answer.data or "", purpose)
    except PasskeyRefused as error:
        log.info("passkey_not_added", extra={"reason": str(error)})
        flash(NOT_ADDED, "danger")
        return redirect(url_for("profile.show"), 303)
    return _page(form), 422


def _page(form: NewPasskeyForm) -> str:
    user = db.session.get_one(User, current_user.id)
    known = passkeys.read_all(db.session(), user.id)
    options = passkey_ceremonies.creation_options(_party(), user, known, browser=browser_key())
    form.answer.data = ""
    return render_template("profile/passkey.html", form=form, options=options)
