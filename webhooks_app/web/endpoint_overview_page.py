"""The Overview tab of an endpoint: whether it delivers, since when not, why, and what waits."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from webhooks_app.core import clock, ids
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries.log.rows import DeliveryRow, read_row
from webhooks_app.endpoints import attempt_stats, notices
from webhooks_app.extensions import db, services
from webhooks_app.web import incident_cards, traffic_charts
from webhooks_app.web.access import load_endpoint
from webhooks_app.web.incident_cards import IncidentCard
from webhooks_app.web.responses import PageResponse, is_fragment


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/endpoints/<endpoint_id>")(show)


def show(endpoint_id: str) -> PageResponse:
    endpoint = load_endpoint(endpoint_id)
    if endpoint.is_listener:  # no figure is kept of it
        return redirect(url_for("endpoints.deliveries", endpoint_id=endpoint.id))
    if is_fragment():
        return render_template("endpoints/_health.html", endpoint=endpoint, **stats_variables(endpoint))
    return render_overview(endpoint)


def render_overview(endpoint: Endpoint, **more: Any) -> str:
    return render_template(
        "endpoints/show.html",
        **stats_variables(endpoint),
        notice=notices.for_endpoint(db.session(), endpoint),
        event_count=len(services().catalog.event_types),
        **card_variables(incident_cards.load(endpoint)),
        **more,
    )


def card_variables(card: IncidentCard) -> dict[str, Any]:
    """Return what the templates of the card read; `kind` differs when another card takes its place."""
    kind = card.state.value if card.incident is None else f"incident-{card.endpoint.is_enabled}"
    return {"endpoint": card.endpoint, "card": card, "kind": kind, "test": read_test(card.endpoint)}


def read_stats(endpoint: Endpoint) -> attempt_stats.AttemptStats:
    period, by = traffic_charts.chosen_period(), traffic_charts.chosen_facet()
    return attempt_stats.read_stats(db.session(), endpoint, period, by, clock.now())


def stats_variables(endpoint: Endpoint, stats: attempt_stats.AttemptStats | None = None) -> dict[str, Any]:
    """Return what the template of an endpoint's charts reads."""
    shown = stats or read_stats(endpoint)
    log_path = url_for("endpoints.deliveries", endpoint_id=endpoint.id)
    drawn = traffic_charts.variables(shown.traffic, log_path, "endpoints.show", endpoint_id=endpoint.id)
    return {"stats": shown, **drawn}


def read_test(endpoint: Endpoint) -> DeliveryRow | None:
    """Return the test that the request names, if it went to this endpoint."""
    test = request.args.get("test", "")
    row = read_row(db.session(), endpoint.workspace_id, test) if ids.is_id("dlv", test) else None
    return row if row and row.endpoint_id == endpoint.id else None
