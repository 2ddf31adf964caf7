"""The Test tab: one event of the admin's own, sent for real to one endpoint."""

import json

from flask import Blueprint, flash, redirect, render_template, request, url_for

from webhooks_app.db.models import Endpoint
from webhooks_app.events import test_events
from webhooks_app.events.event_types import NAME
from webhooks_app.events.test_events import RequestPreview
from webhooks_app.extensions import services
from webhooks_app.web.access import actor, admin_required, load_endpoint
from webhooks_app.web.forms.endpoint_action_forms import TestForm
from webhooks_app.web.responses import PageResponse, is_fragment


def add_routes(blueprint: Blueprint) -> None:
    blueprint.route("/endpoints/<endpoint_id>/test", methods=["GET", "POST"])(test)


@admin_required
def test(endpoint_id: str) -> PageResponse:
    endpoint, form = load_endpoint(endpoint_id), TestForm()
    if not form.is_submitted():
        form.event_type.data = _choose_event_type(endpoint)
        form.data.data = _example_data(form.event_type.data)
        return _page(endpoint, form)
    if not form.validate():
        return _page(endpoint, form)
    return _preview(endpoint, form) if "preview" in request.form else _send(endpoint, form)


def _preview(endpoint: Endpoint, form: TestForm) -> PageResponse:
    signed_request = test_events.preview_test(services().read, services().cipher, endpoint, form.new_event())
    return _page(endpoint, form, signed_request)


def _send(endpoint: Endpoint, form: TestForm) -> PageResponse:
    if not endpoint.is_enabled:
        flash("This endpoint is disabled, so nothing was sent. Enable it first.", "danger")
        return redirect(url_for("endpoints.test", endpoint_id=endpoint.id), 303)
    delivery_id = test_events.send_test(
        services().write,
        services().wake_ups,
        endpoint,
        form.new_event(),
        actor=actor(),
    )
    flash("Test event sent.", "success")
    return redirect(url_for("deliveries.show", delivery_id=delivery_id), 303)


def _page(endpoint: Endpoint, form: TestForm, signed_request: RequestPreview | None = None) -> PageResponse:
    template = "endpoints/_payload.html" if is_fragment() else "endpoints/test.html"
    page = render_template(
        template,
        endpoint=endpoint,
        form=form,
        groups=services().catalog.groups,
        signed_request=signed_request,
        left_events=_left_events(endpoint),
    )
    return page, 422 if form.errors else 200


def _choose_event_type(endpoint: Endpoint) -> str:
    """Return the event type asked for, else the first that the endpoint subscribes to."""
    asked = request.args.get("event_type", "")
    subscribed = services().catalog.names if endpoint.all_events else set(endpoint.event_types)
    names = [event_type.name for event_type in services().catalog.event_types]
    return asked if asked in names else next((name for name in names if name in subscribed), names[0])


def _left_events(endpoint: Endpoint) -> list[str]:
    """Return what the endpoint subscribes to, or was asked for, that has left the catalog."""
    asked = request.args.get("event_type", "")
    return services().catalog.missing([*endpoint.event_types, *([asked] if NAME.fullmatch(asked) else ())])


def _example_data(name: str) -> str:
    event_type = services().catalog.get(name)
    assert event_type is not None
    return json.dumps(event_type.example, indent=2, ensure_ascii=False)
