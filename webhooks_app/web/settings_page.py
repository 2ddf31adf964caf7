"""A workspace's settings, and making another workspace."""

from flask import Blueprint, flash, g, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from webhooks_app.accounts import workspaces
from webhooks_app.extensions import services
from webhooks_app.web.access import WORKSPACE, actor, admin_required, workspace_blueprint
from webhooks_app.web.forms.account_forms import NameForm, SettingsForm

blueprint = workspace_blueprint("settings", __name__, WORKSPACE + "/settings")
workspaces_blueprint = Blueprint("workspaces", __name__, url_prefix="/workspaces")

Page = Response | str | tuple[str, int]


@blueprint.get("/")
def show() -> Page:
    return _page(SettingsForm(g.workspace))


@blueprint.post("/")
@admin_required
def change() -> Page:
    form = SettingsForm(g.workspace)
    if not form.validate():
        return _page(form), 422
    workspaces.change(services().write, g.workspace, form.values(), actor=actor())
    flash("Changes saved.", "success")
    return redirect(url_for("settings.show"), 303)


@workspaces_blueprint.route("/new", methods=["GET", "POST"])
@login_required  # type: ignore[untyped-decorator]
def new() -> Page:
    form = NameForm()
    if not form.validate_on_submit():
        return render_template("new_workspace.html", form=form), 422 if form.errors else 200
    workspace_id = workspaces.create_with_admin(services().write, form.name.data, current_user, actor=actor())
    flash(f"Workspace “{form.name.data}” created. You are its admin.", "success")
    return redirect(url_for("endpoints.index", workspace_id=workspace_id), 303)


def _page(form: SettingsForm) -> str:
    sends_mail = services().settings.mail_server is not None
    return render_template("settings/show.html", form=form, sends_mail=sends_mail)
