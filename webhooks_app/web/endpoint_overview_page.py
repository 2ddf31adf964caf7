"""The Overview tab of an endpoint: whether it delivers, since when not, why, and what waits."""

from flask import Blueprint, render_template, request

from webhooks_app.core import clock
from webhooks_app.endpoints import attempt_stats, charts, health, notices, overview
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db
from webhooks_app.web.access import load_endpoint
from webhooks_app.web.endpoint_settings import held_count
from webhooks_app.web.responses import PageResponse, is_fragment


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/endpoints/<endpoint_id>")(show)


def show(endpoint_id: str) -> PageResponse:
    endpoint = load_endpoint(endpoint_id)
    period = charts.PERIODS.get(request.args.get("period", ""), attempt_stats.DAY)
    stats = attempt_stats.read_stats(db.session(), endpoint, period, clock.now())
    if is_fragment():
        return render_template("endpoints/_health.html", endpoint=endpoint, stats=stats)
    return render_template(
        "endpoints/show.html",
        endpoint=endpoint,
        stats=stats,
        waiting=overview.read_backlog(db.session(), endpoint.id),
        retrying=overview.count_retrying(db.session(), endpoint.id),
        held=held_count(endpoint),
        failure=health.last_failure(endpoint.health),
        has_failed=overview.has_failed(db.session(), endpoint.id),
        notice=notices.for_endpoint(db.session(), endpoint),
        event_count=len(catalog().event_types),
    )
