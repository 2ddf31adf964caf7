"""The page of a workspace's traffic: how everything sent was answered and of which event types it was."""

from typing import Any

from flask import Blueprint, g, render_template, request, url_for

from webhooks_app.core import clock
from webhooks_app.endpoints import attempt_stats, charts, traffic
from webhooks_app.extensions import db
from webhooks_app.web import traffic_charts
from webhooks_app.web.responses import PageResponse, is_fragment


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(show)


def show() -> PageResponse:
    period = charts.PERIODS.get(request.args.get("period", ""), attempt_stats.DAY)
    facet = traffic_charts.chosen_facet()
    found = traffic.read(db.session(), g.workspace.id, facet, period, clock.now())
    name = "traffic/_panel.html" if is_fragment() else "traffic/index.html"
    chart = traffic_charts.draw(found, url_for("deliveries.index"))
    return render_template(name, chart=chart, traffic_address=_address)


def _address(**changed: str) -> str:
    """Return this page's URL with another period or facet."""
    arguments: dict[str, Any] = {**traffic_charts.chosen_arguments(), **changed}
    return url_for("traffic.show", **arguments)
