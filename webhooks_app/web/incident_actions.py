"""What an admin does about an incident, in its card itself: mend the URL, try it."""

from flask import Blueprint, flash, redirect, render_template, request, url_for

from webhooks_app.core.encryption import DecryptionError
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries.log.rows import read_row
from webhooks_app.endpoints import actions, custom_headers
from webhooks_app.endpoints.custom_headers import ValueNeeded
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.events import test_events
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db, expire_read_rows, services
from webhooks_app.web import incident_cards
from webhooks_app.web.access import actor, admin_required, load_kept_endpoint
from webhooks_app.web.endpoint_overview_page import card_variables, render_overview
from webhooks_app.web.forms.endpoint_action_forms import UrlForm
from webhooks_app.web.responses import PageResponse, is_fragment, with_toast

SAVED = "URL saved: later attempts go there. Test it, then send what waits."
ANOTHER_SERVER = (
    "This is another server, and the custom headers hold values for the one before. Change the URL in the "
    "settings, where they are entered again."
)
UNREADABLE = (
    "The custom headers cannot be decrypted. Change the URL in the settings, where they are entered again."
)


def add_routes(blueprint: Blueprint) -> None:
    blueprint.post("/endpoints/<endpoint_id>/url")(fix_url)
    blueprint.post("/endpoints/<endpoint_id>/try")(try_now)


@admin_required
def fix_url(endpoint_id: str) -> PageResponse:
    endpoint, form = load_kept_endpoint(endpoint_id), UrlForm(services().settings.targets)
    if not form.validate() or not _is_saved(endpoint, form):
        return _render(endpoint, form), 422
    if not is_fragment():
        flash(SAVED, "success")
        return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)
    expire_read_rows()  # it was read before the change
    return with_toast(_render(load_kept_endpoint(endpoint_id), None), SAVED, "success")


@admin_required
def try_now(endpoint_id: str) -> PageResponse:
    """Send the example of an event type as a test; the card shows what comes of it."""
    endpoint = load_kept_endpoint(endpoint_id)
    if not endpoint.is_enabled:
        flash("This endpoint is disabled, so nothing was sent. Enable it first.", "danger")
        return redirect(url_for("endpoints.show", endpoint_id=endpoint_id), 303)
    new = _example(endpoint, request.form.get("event_type", ""))
    test = test_events.send_test(services().write, services().wake_ups, endpoint, new, actor=actor())
    if not is_fragment():
        return redirect(url_for("endpoints.show", endpoint_id=endpoint_id, test=test), 303)
    row = read_row(db.session(), endpoint.workspace_id, test)
    return render_template("endpoints/_test_result.html", endpoint=endpoint, test=row)


def _is_saved(endpoint: Endpoint, form: UrlForm) -> bool:
    """Change the URL; where that cannot be, say why at the field."""
    try:
        values = _with_url(endpoint, form.normal_url)
        actions.change(services().write, services().cipher, endpoint, values, actor=actor())
    except ValueNeeded:
        form.url.errors = [ANOTHER_SERVER]
    except DecryptionError:
        form.url.errors = [UNREADABLE]
    return not form.url.errors


def _with_url(endpoint: Endpoint, url: str) -> EndpointValues:
    """Return all that can be set as it is, but for the URL. Raises DecryptionError."""
    stored = custom_headers.decrypt(services().cipher, endpoint)
    return EndpointValues(
        name=endpoint.name,
        url=url,
        all_events=endpoint.all_events,
        event_types=endpoint.event_types,
        timeout_ms=endpoint.timeout_ms,
        rate_per_second=endpoint.rate_per_second,
        headers=[(name, None) for name, _ in stored],
    )


def _render(endpoint: Endpoint, form: UrlForm | None) -> str:
    if not is_fragment():
        return render_overview(endpoint, fix=form)
    template = "endpoints/_now.html" if form else "endpoints/_moved.html"
    return render_template(template, fix=form, **card_variables(incident_cards.load(endpoint)))


def _example(endpoint: Endpoint, name: str) -> NewEvent:
    """Return the catalog's example of that event type or, if there is none, of one that the endpoint gets."""
    gets = [name, *(() if endpoint.all_events else endpoint.event_types)]
    named = (each for each in map(services().catalog.get, gets) if each is not None)
    event_type = next(named, services().catalog.event_types[0])
    return NewEvent.example_of(event_type)
