"""The members of a workspace, and the invitations to it."""

from flask import Blueprint, flash, g, redirect, render_template, url_for
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webhooks_app.accounts import members
from webhooks_app.accounts.members import AlreadyInvited, AlreadyMember, LastAdmin
from webhooks_app.core import clock
from webhooks_app.db.models import Invitation, Member, Role, User
from webhooks_app.extensions import db, services
from webhooks_app.web.access import (
    actor,
    admin_required,
    load_member,
    load_owned,
)
from webhooks_app.web.forms.account_forms import InviteForm, RoleForm
from webhooks_app.web.responses import PageResponse

LAST_ADMIN = "A workspace needs an admin. Make somebody else one first."


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.post("/")(invite)
    blueprint.post("/invitations/<invitation_id>/withdraw")(withdraw)
    blueprint.post("/<user_id>/role")(change_role)
    blueprint.post("/<user_id>/remove")(remove)


def index() -> PageResponse:
    return _page(InviteForm(formdata=None))


@admin_required
def invite() -> PageResponse:
    """Return the page itself with the link, which is shown this once."""
    form = InviteForm()
    if not form.validate():
        return _page(form), 422
    try:
        secret = members.invite(
            services().write, g.workspace.id, form.email.data, Role(form.role.data), actor=actor()
        )
    except AlreadyInvited:
        form.email.errors = ["Somebody invited this address at the same moment. Look below."]
        return _page(form), 422
    except AlreadyMember:
        form.email.errors = ["Whoever has this address is a member already."]
        return _page(form), 422
    # Not of the request's own host, which whoever stands in between could name.
    settings = services().settings
    path = url_for("invitations.show", secret=secret).removeprefix(settings.path_prefix)
    link = settings.base_url + path
    return _page(InviteForm(formdata=None), link=link, invited=form.email.data)


@admin_required
def withdraw(invitation_id: str) -> PageResponse:
    invitation = load_owned(Invitation, invitation_id)
    email = invitation.email
    if members.withdraw(services().write, invitation, actor=actor()):
        flash(f"Invitation of {email} withdrawn; its link no longer works.", "success")
    else:
        flash(f"The invitation of {email} was accepted or withdrawn already.", "info")
    return redirect(url_for("members.index"), 303)


@admin_required
def change_role(user_id: str) -> PageResponse:
    member, form = load_member(user_id), RoleForm()
    name = member.user.name
    if not form.validate():
        flash("Choose one of the roles listed.", "danger")
        return redirect(url_for("members.index"), 303)
    try:
        members.change_role(services().write, member, Role(form.role.data), actor=actor())
    except LastAdmin:
        flash(LAST_ADMIN, "danger")
    else:
        flash(f"{name} is {_article(form.role.data)} now.", "success")
    return redirect(url_for("members.index"), 303)


@admin_required
def remove(user_id: str) -> PageResponse:
    member = load_member(user_id)
    name, is_self = member.user.name, user_id == current_user.id
    try:
        members.remove(services().write, member, actor=actor())
    except LastAdmin:
        flash(LAST_ADMIN, "danger")
        return redirect(url_for("members.index"), 303)
    if is_self:
        flash(f"You have left {g.workspace.name}.", "success")
        return redirect(url_for("session.home"), 303)
    flash(f"{name} is no longer a member.", "success")
    return redirect(url_for("members.index"), 303)


def _article(role: str) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def _page(form: InviteForm, *, link: str = "", invited: str = "") -> str:
    people = db.session.scalars(
        select(Member)
        .join(User, User.id == Member.user_id)
        .options(joinedload(Member.user))
        .where(Member.workspace_id == g.workspace.id)
        .order_by(User.name, User.email)
    ).all()
    invitations = db.session.scalars(
        select(Invitation)
        .where(Invitation.workspace_id == g.workspace.id, Invitation.closed_at.is_(None))
        .where(Invitation.expires_at > clock.now())
        .order_by(Invitation.id.desc())
    ).all()
    return render_template(
        "members/index.html", form=form, members=people, invitations=invitations, link=link, invited=invited
    )
