"""A new endpoint, and the settings of one."""

from flask import Blueprint, flash, g, redirect, request, url_for

from webhooks_app.endpoints import actions
from webhooks_app.endpoints.custom_headers import ValueNeeded
from webhooks_app.extensions import services
from webhooks_app.web.access import actor, admin_required, load_kept_endpoint
from webhooks_app.web.endpoint_settings import render_form, render_settings, settings_form
from webhooks_app.web.forms.endpoint_forms import EndpointForm, host_name
from webhooks_app.web.responses import PageResponse


def add_routes(blueprint: Blueprint) -> None:
    blueprint.route("/endpoints/new", methods=["GET", "POST"])(new)
    blueprint.route("/endpoints/<endpoint_id>/settings", methods=["GET", "POST"])(settings)


@admin_required
def new() -> PageResponse:
    form = EndpointForm(services().settings.targets, timeout_ms=g.workspace.default_timeout_ms)
    if not _is_complete(form):
        return render_form("endpoints/new.html", form)
    values = form.values()
    endpoint_id = actions.create(services().write, services().cipher, g.workspace.id, values, actor=actor())
    flash(_saved_message(f"Endpoint “{values.name}” added.", form), "success")
    return redirect(url_for("endpoints.verify", endpoint_id=endpoint_id, new=1), 303)


@admin_required
def settings(endpoint_id: str) -> PageResponse:
    endpoint = load_kept_endpoint(endpoint_id)
    form = settings_form(endpoint)
    if not _is_complete(form):
        return render_settings(endpoint, form)
    is_moved = form.values().url != endpoint.url
    try:
        actions.change(services().write, services().cipher, endpoint, form.values(), actor=actor())
    except ValueNeeded:
        form.ask_for_values()
        return render_settings(endpoint, form)
    flash(_saved_message("Changes saved.", form), "success")
    # What waits for its next attempt can then be sent at once.
    return redirect(
        url_for("endpoints.settings", endpoint_id=endpoint_id, moved=1 if is_moved else None), 303
    )


def _is_complete(form: EndpointForm) -> bool:
    """Return whether to save: no header row is being added or removed, and nothing is wrong."""
    if form.is_submitted() and form.edit_rows(request.form):
        return False
    return bool(form.validate_on_submit())


def _saved_message(message: str, form: EndpointForm) -> str:
    """Return the message, with the host's name if it is stored in another spelling, such as punycode."""
    host = host_name(form.normal_url)
    is_as_typed = host.lower() in (form.url.data or "").lower()
    return message if is_as_typed else f"{message} In DNS the host is {host}."
