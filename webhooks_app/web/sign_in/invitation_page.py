"""What the link of an invitation opens: for somebody logged in, and for somebody new."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select

from webhooks_app.accounts import members
from webhooks_app.accounts.members import AlreadyMember, InvitationClosed
from webhooks_app.accounts.users import EmailTaken
from webhooks_app.core import clock, passwords
from webhooks_app.db.models import Invitation, SignInMethod, User
from webhooks_app.extensions import db, services
from webhooks_app.web.forms.account_forms import AcceptForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import known_devices, sessions

CLOSED = "This invitation was used, withdrawn or has expired. Ask whoever sent it for another."


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/<secret>")(show)
    blueprint.post("/<secret>")(accept)


def show(secret: str) -> PageResponse:
    return _page(_load(secret), AcceptForm(formdata=None))


def accept(secret: str) -> PageResponse:
    invitation, form = _load(secret), AcceptForm()
    is_mine = current_user.is_authenticated and current_user.email == invitation.email
    takes_passwords = services().settings.password_log_in
    if not is_mine and (_has_account(invitation) or current_user.is_authenticated or not takes_passwords):
        return _page(invitation, form), 403
    if not is_mine and not form.validate():
        return _page(invitation, form), 422
    response = redirect(url_for("endpoints.index", workspace_id=invitation.workspace_id), 303)
    try:
        user_id = _join(invitation, form, user_id=current_user.id if is_mine else None)
    except InvitationClosed:
        abort(404, CLOSED)
    except EmailTaken:
        return redirect(url_for("invitations.show", secret=secret), 303)
    except AlreadyMember:
        flash("You are a member already.", "info")
        return response
    if not is_mine:
        user = db.session.get_one(User, user_id)
        sessions.begin(user, SignInMethod.INVITATION)
        known_devices.remember(response, user)
    return response


def _join(invitation: Invitation, form: AcceptForm, *, user_id: str | None) -> str:
    """Return the new member's user id: `user_id` or, without one, that of a new account."""
    return members.accept(
        services().write,
        invitation,
        user_id=user_id,
        name=form.name.data or "",
        password=form.password.data or "",
        address=request.remote_addr or "",
    )


def _load(secret: str) -> Invitation:
    """Return the open invitation; 404 alike for one that never was and one that is closed."""
    invitation = db.session.scalars(
        select(Invitation).where(Invitation.token_hash == passwords.hash_token(secret))
    ).first()
    if invitation is None or invitation.closed_at is not None or invitation.expires_at <= clock.now():
        abort(404, CLOSED)
    return invitation


def _has_account(invitation: Invitation) -> bool:
    return db.session.scalars(select(User.id).where(User.email == invitation.email)).first() is not None


def _page(invitation: Invitation, form: AcceptForm) -> str:
    return render_template(
        "invitation.html",
        invitation=invitation,
        form=form,
        has_account=_has_account(invitation) or not services().settings.password_log_in,
    )
