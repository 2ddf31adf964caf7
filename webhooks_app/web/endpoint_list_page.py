"""The endpoints of a workspace: how each is doing, with a search."""

from flask import Blueprint, g, render_template, request

from webhooks_app.core import clock
from webhooks_app.endpoints import overview
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db
from webhooks_app.web.responses import PageResponse, is_fragment

LONGEST_SEARCH = 200


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)


def index() -> PageResponse:
    search, state = _search(), request.args.get("state", "")
    rows = overview.read_rows(db.session(), g.workspace.id, search, clock.now())
    is_chosen = state in overview.HEALTH_STATES
    return render_template(
        "endpoints/_list.html" if is_fragment() else "endpoints/index.html",
        rows=[row for row in rows if not is_chosen or row.endpoint.health_state == state],
        not_enabled_count=sum(row.endpoint.health_state != "enabled" for row in rows),
        count=len(rows),
        search=search,
        state=state if is_chosen else "",
        event_count=len(catalog().event_types),
    )


def _search() -> str:
    # PostgreSQL takes no NUL in a text, and no name or URL has one.
    return request.args.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
