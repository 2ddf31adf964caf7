"""The settings of a workspace."""

from flask import Blueprint, flash, g, redirect, render_template, url_for

from webhooks_app.accounts import workspaces
from webhooks_app.extensions import services
from webhooks_app.web.access import actor, admin_required
from webhooks_app.web.forms.account_forms import SettingsForm
from webhooks_app.web.responses import PageResponse


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(show)
    blueprint.post("/")(change)


def show() -> PageResponse:
    return _page(SettingsForm(g.workspace))


@admin_required
def change() -> PageResponse:
    form = SettingsForm(g.workspace)
    if not form.validate():
        return _page(form), 422
    workspaces.change(services().write, g.workspace, form.values(), actor=actor())
    flash("Changes saved.", "success")
    return redirect(url_for("settings.show"), 303)


def _page(form: SettingsForm) -> str:
    sends_mail = services().settings.mail_server is not None
    return render_template("settings/show.html", form=form, sends_mail=sends_mail)
