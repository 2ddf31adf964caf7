"""The page of a workspace's traffic: how everything sent was answered and of which event types it was."""

from flask import Blueprint, g, render_template, url_for

from webhooks_app.core import clock
from webhooks_app.endpoints import traffic
from webhooks_app.extensions import db
from webhooks_app.web import traffic_charts
from webhooks_app.web.responses import PageResponse, is_fragment


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(show)


def show() -> PageResponse:
    period, facet = traffic_charts.chosen_period(), traffic_charts.chosen_facet()
    found = traffic.read(db.session(), g.workspace.id, facet, period, clock.now())
    name = "traffic/_panel.html" if is_fragment() else "traffic/index.html"
    variables = traffic_charts.variables(found, url_for("deliveries.index"), "traffic.show")
    return render_template(name, **variables)
