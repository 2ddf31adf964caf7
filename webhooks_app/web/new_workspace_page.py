"""Making another workspace."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_login import current_user, login_required

from webhooks_app.accounts import workspaces
from webhooks_app.extensions import services
from webhooks_app.web.access import actor
from webhooks_app.web.forms.account_forms import NameForm
from webhooks_app.web.responses import PageResponse
from webhooks_app.web.sign_in import second_factor_demand


def add_routes(blueprint: Blueprint) -> None:
    blueprint.route("/new", methods=["GET", "POST"])(new)


@login_required  # type: ignore[untyped-decorator]
def new() -> PageResponse:
    if services().settings.requires_second_factor and not second_factor_demand.is_met():
        flash("Set up two-factor authentication first, in a workspace that you are a member of.", "info")
        return redirect(url_for("session.home"), 303)
    form = NameForm()
    if not form.validate_on_submit():
        return render_template("new_workspace.html", form=form), 422 if form.errors else 200
    workspace_id = workspaces.create_with_admin(services().write, form.name.data, current_user, actor=actor())
    flash(f"Workspace “{form.name.data}” created. You are its admin.", "success")
    return redirect(url_for("endpoints.index", workspace_id=workspace_id), 303)
