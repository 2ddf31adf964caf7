"""Two-factor authentication of one's own account: an authenticator app and recovery codes."""

from urllib.parse import urlsplit

from flask import Blueprint, flash, make_response, redirect, render_template, url_for
from flask_login import current_user
from markupsafe import Markup

from webhooks_app.accounts import recovery_codes, second_factors, totp
from webhooks_app.accounts.second_factors import AlreadyOn
from webhooks_app.extensions import db, services
from webhooks_app.web.access import actor
from webhooks_app.web.forms.account_forms import ConfirmationForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import current_password, known_devices, second_factor_demand, sessions
from webhooks_app.web.sign_in.second_factor_page import CodeForm

WRONG_CODE = "This is not the app’s present code. Is the clock of that device right?"
LATE = "That took too long. Set it up anew: the app needs another key."
OFF = "Two-factor authentication is off."


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/two-factor")(show_second_factor_setup)
    blueprint.post("/two-factor/begin")(begin_second_factor)
    blueprint.post("/two-factor/confirm")(confirm_second_factor)
    blueprint.post("/two-factor/codes")(renew_recovery_codes)
    blueprint.post("/two-factor/off")(turn_off_second_factor)


def show_second_factor_setup() -> PageResponse:
    return _page()


def begin_second_factor() -> PageResponse:
    """Make a secret, which the page then shows until a code of it was typed."""
    form = ConfirmationForm()
    if not _is_confirmed(form):
        return _page(form), 422
    try:
        second_factors.begin(services().write, services().cipher, current_user)
    except AlreadyOn:
        flash("Two-factor authentication is on already.", "info")
    return redirect(url_for("profile.show_second_factor_setup"), 303)


def confirm_second_factor() -> PageResponse:
    """Turn it on, and show the recovery codes this once."""
    form, keep = CodeForm(), sessions.current_id()
    if not form.validate():
        return _page(code_form=form), 422
    found = services()
    codes = second_factors.confirm(
        found.write, found.cipher, current_user, form.typed, actor=actor(), keep=keep
    )
    if not codes:
        if current_user.second_factor_at is None and not _pending_secret():
            flash(LATE, "danger")
            return redirect(url_for("profile.show_second_factor_setup"), 303)
        form.code.errors = [WRONG_CODE]
        return _page(code_form=form), 422
    user = sessions.keep(current_user.id)
    response = make_response(_page(codes=codes))
    known_devices.remember(response, user)
    return response


def renew_recovery_codes() -> PageResponse:
    """Show new ones, which replace all that there were."""
    form = ConfirmationForm()
    if current_user.second_factor_at is None:
        flash(OFF, "info")
        return redirect(url_for("profile.show_second_factor_setup"), 303)
    if not _is_confirmed(form):
        return _page(form), 422
    return _page(codes=second_factors.renew_codes(services().write, current_user, actor=actor()))


def turn_off_second_factor() -> PageResponse:
    form = ConfirmationForm()
    if demanding := second_factor_demand.demanding():
        flash(f"{demanding} demands it, so it stays on.", "danger")
        return redirect(url_for("profile.show_second_factor_setup"), 303)
    if not _is_confirmed(form):
        return _page(form), 422
    second_factors.turn_off(services().write, current_user, actor=actor())
    flash(OFF, "success")
    return redirect(url_for("profile.show"), 303)


def _is_confirmed(form: ConfirmationForm) -> bool:
    if refusal := current_password.refusal(form.current.data or ""):
        form.current.errors = [refusal]
    return not form.current.errors


def _page(
    form: ConfirmationForm | None = None, *, code_form: CodeForm | None = None, codes: list[str] | None = None
) -> str:
    user = db.session.get_one(
        type(current_user._get_current_object()), current_user.id, populate_existing=True
    )
    secret = _pending_secret()
    return render_template(
        "profile/second_factor.html",
        form=form or ConfirmationForm(formdata=None),
        code_form=code_form or CodeForm(formdata=None),
        codes=codes,
        since=user.second_factor_at,
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        qr_code=_qr_code(totp.uri(secret, user.email, _issuer())) if secret else "",
        codes_left=recovery_codes.count_left(db.session(), user.id),
        codes_made=recovery_codes.COUNT,
        demanding=second_factor_demand.demanding(),
        is_fresh=current_password.is_fresh(),
    )


def _pending_secret() -> str:
    return second_factors.pending_secret(db.session(), services().cipher, current_user.id)


def _issuer() -> str:
    """Return what the app lists the code under: whoever has two platforms must tell them apart."""
    return f"Avra {urlsplit(services().settings.base_url).hostname}"


def _qr_code(content: str) -> Markup:
    """Return it as SVG, black on white in either theme, as cameras want it."""
    import segno  # few ever need it

    made = segno.make_qr(content, error="m")
    svg = made.svg_inline(scale=4, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None)
    return Markup(svg)  # noqa: S704
