"""What an open page of an endpoint asks for every few seconds: its state, its incident, its charts."""

from typing import Any

from flask import Blueprint, render_template, request

from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import health
from webhooks_app.extensions import db
from webhooks_app.web import incident_cards
from webhooks_app.web.access import load_endpoint
from webhooks_app.web.endpoint_overview_page import (
    card_variables,
    read_stats,
    read_test,
    stats_variables,
)
from webhooks_app.web.incident_cards import IncidentCard
from webhooks_app.web.responses import PageResponse


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/endpoints/<endpoint_id>/live")(live)


def live(endpoint_id: str) -> PageResponse:
    """Return the parts that look different by now, each to its place, or 204.

    The request's `state`, `now`, `kind`, `line` and `stats` stand for what the reader has; a page that leaves
    one out does not show that part. `part=test` asks for the outcome of the test alone.
    """
    endpoint = load_endpoint(endpoint_id)
    if request.args.get("part") == "test":
        return render_template("endpoints/_test_result.html", endpoint=endpoint, test=read_test(endpoint))
    place = next((name for name in ("now", "line") if name in request.args), "")
    card = incident_cards.load(endpoint) if place else None
    state = card.state if card else health.read(db.session(), endpoint.id)
    parts: dict[str, Any] = {} if state == request.args.get("state") else {"state": state}
    parts |= (_card(card, place) if card else {}) | _stats(endpoint)
    if not parts:
        return "", 204
    return render_template("endpoints/_live.html", **({"endpoint": endpoint} | parts))


def _card(card: IncidentCard, place: str) -> dict[str, Any]:
    """Return the card on the overview, or its line above the log."""
    if card.version == request.args[place]:
        return {}
    variables = card_variables(card)
    is_other_kind = place == "now" and variables["kind"] != request.args.get("kind")
    return variables | {"place": place, "is_other_kind": is_other_kind}


def _stats(endpoint: Endpoint) -> dict[str, Any]:
    if "stats" not in request.args:
        return {}
    stats = read_stats(endpoint)
    return {} if stats.version == request.args["stats"] else stats_variables(endpoint, stats)
