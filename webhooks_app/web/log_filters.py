"""The delivery log's filter as views take it from a URL, and the endpoints to choose from."""

from collections.abc import Mapping

from flask import abort, g
from sqlalchemy import select

from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries.log import filters
from webhooks_app.deliveries.log.filters import FilterError, LogFilter
from webhooks_app.extensions import db
from webhooks_app.web.access import check_endpoint


def filter_of_request(arguments: Mapping[str, str]) -> LogFilter:
    """Return the log's filter of a URL; 400 for a damaged one, 404 for another workspace's endpoint."""
    try:
        log_filter = filters.parse(arguments)
    except FilterError:
        abort(400)
    if log_filter.endpoint:
        check_endpoint(log_filter.endpoint)
    return log_filter


def endpoint_choices(chosen: str = "") -> list[tuple[str, str]]:
    """Return id and name of the workspace's endpoints, by name; the chosen one even if it is deleted."""
    rows = db.session.execute(
        select(Endpoint.id, Endpoint.name, Endpoint.deleted_at).where(Endpoint.workspace_id == g.workspace.id)
    )
    choices = [
        (row.id, f"{row.name} (deleted)" if row.deleted_at else row.name)
        for row in rows
        if row.deleted_at is None or row.id == chosen
    ]
    return sorted(choices, key=lambda choice: choice[1].casefold())
