"""What takes an endpoint out of use and back, or out of a file's management; and the end of a listener."""

from flask import Blueprint, abort, flash, redirect, url_for

from webhooks_app.endpoints import actions, managed_by, waiting_counts
from webhooks_app.extensions import db, services
from webhooks_app.listeners import ending
from webhooks_app.web.access import actor, admin_required, load_endpoint, load_kept_endpoint
from webhooks_app.web.endpoint_settings import render_settings, settings_form
from webhooks_app.web.forms.endpoint_action_forms import DeleteForm, EnableForm
from webhooks_app.web.responses import PageResponse


def add_routes(blueprint: Blueprint) -> None:
    blueprint.post("/endpoints/<endpoint_id>/disable")(disable)
    blueprint.post("/endpoints/<endpoint_id>/enable")(enable)
    blueprint.post("/endpoints/<endpoint_id>/delete")(delete)
    blueprint.post("/endpoints/<endpoint_id>/release")(release)
    blueprint.post("/endpoints/<endpoint_id>/end")(end)


@admin_required
def disable(endpoint_id: str) -> PageResponse:
    endpoint = load_kept_endpoint(endpoint_id)
    actions.disable(services().write, endpoint, actor=actor())
    flash("Endpoint disabled. Its events are held until you enable it again.", "success")
    return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)


@admin_required
def enable(endpoint_id: str) -> PageResponse:
    endpoint = load_kept_endpoint(endpoint_id)
    if endpoint.is_enabled:
        flash("This endpoint is enabled already.", "info")
        return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)
    form = EnableForm(waiting_counts.count_held(db.session(), endpoint.id))
    if not form.validate():
        return render_settings(endpoint, settings_form(endpoint, formdata=None), enable_form=form)
    send = form.held.data == "send"
    count = actions.enable(services().write, endpoint, send_held=send, actor=actor())
    if count and send:
        services().wake_ups.wake_worker()
    flash("Endpoint enabled." + _held_message(count, send=send), "success")
    return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)


@admin_required
def delete(endpoint_id: str) -> PageResponse:
    endpoint = load_kept_endpoint(endpoint_id)
    name, form = endpoint.name, DeleteForm(endpoint.name)
    if not form.validate():
        return render_settings(endpoint, settings_form(endpoint, formdata=None), delete_form=form)
    actions.remove(services().write, endpoint, actor=actor())
    flash(f"Endpoint “{name}” deleted.", "success")
    return redirect(url_for("endpoints.index"), 303)


@admin_required
def release(endpoint_id: str) -> PageResponse:
    endpoint = load_kept_endpoint(endpoint_id)
    manager = endpoint.managed_by
    if managed_by.release(services().write, endpoint, actor=actor()):
        flash(f"{manager} no longer manages this endpoint. Take it out of there, too.", "success")
    else:
        flash("Nothing manages this endpoint.", "info")
    return redirect(url_for("endpoints.settings", endpoint_id=endpoint_id), 303)


@admin_required
def end(endpoint_id: str) -> PageResponse:
    endpoint = load_endpoint(endpoint_id)
    if not endpoint.is_listener:
        abort(404)
    ending.end(services().write, endpoint.id, actor=actor())
    services().wake_ups.notify_listeners([endpoint.id])
    flash(f"“{endpoint.name}” has ended. Its program is told at once.", "success")
    return redirect(url_for("endpoints.index"), 303)


def _held_message(count: int, *, send: bool) -> str:
    """Return what became of the held deliveries, as a further sentence."""
    if not count:
        return ""
    if count == 1:
        return f" 1 held delivery {'is on its way' if send else 'was discarded'}."
    return f" {count:,} held deliveries {'are on their way' if send else 'were discarded'}."
