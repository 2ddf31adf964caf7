"""The endpoints of a workspace: how each is doing, with a search, and what has changed while one looks."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, make_response, render_template, request

from webhooks_app.core import clock
from webhooks_app.endpoints import endpoint_list, health
from webhooks_app.endpoints.health import HealthState
from webhooks_app.events.event_types import NAME
from webhooks_app.extensions import db, services
from webhooks_app.listeners import overview
from webhooks_app.web.responses import PageResponse, is_fragment
from webhooks_app.web.template_links import endpoint_list_address


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.get("/endpoints/changes")(changes)


def _event_types() -> frozenset[str]:
    """Return what endpoints can be filtered by: the catalog's types, and one asked for that has left it."""
    asked = request.args.get("event", "")
    return services().catalog.names | ({asked} if NAME.fullmatch(asked) else frozenset())


def index() -> PageResponse:
    endpoint_filter = endpoint_list.parse(request.args, _event_types())
    page = endpoint_list.read_page(
        db.session(),
        g.workspace.id,
        endpoint_filter,
        now=clock.now(),
        after=request.args.get("after", ""),
        before=request.args.get("before", ""),
    )
    response = make_response(
        render_template(
            "endpoints/_list.html" if is_fragment() else "endpoints/index.html",
            page=page,
            endpoint_filter=endpoint_filter,
            states=HealthState,
            groups=services().catalog.groups,
            listeners=[] if is_fragment() else overview.read_live(db.session(), g.workspace.id),
            **_summary(),
        )
    )
    if request.headers.get("HX-Source") == "form#filters":
        # Without the form's empty fields.
        response.headers["HX-Push-Url"] = endpoint_list_address(endpoint_filter)
    return response


def changes() -> PageResponse:
    """Return the rows that look different by now, and the counts if they are others; 204 for neither.

    The request's `seen` names the rows that the reader has as `id~version`, `shown` the counts. Rows keep
    their places, so that none moves under the pointer.
    """
    seen = _versions(request.args.getlist("seen")[: endpoint_list.PAGE_SIZE])
    rows = endpoint_list.read_rows(db.session(), g.workspace.id, list(seen), now=clock.now())
    changed = [row for row in rows if row.version != seen[row.endpoint.id]]
    summary = _summary()
    has_new_counts = summary["shown"] != request.args.get("shown", "")
    if not changed and not has_new_counts:
        return "", 204
    return render_template(
        "endpoints/_list_changes.html", rows=changed, has_new_counts=has_new_counts, **summary
    )


def _versions(seen: list[str]) -> dict[str, str]:
    parts = [each.partition("~") for each in seen]
    return {endpoint_id: version for endpoint_id, _, version in parts}


def _summary() -> dict[str, Any]:
    """Return how many endpoints there are, and how many in each state; `shown` stands for these counts."""
    counts: Mapping[HealthState, int] = health.count_states(db.session(), g.workspace.id)
    return {
        "counts": counts,
        "count": sum(counts.values()),
        "shown": "-".join(str(counts.get(each, 0)) for each in HealthState),
        "needing": [each for each in health.NEEDS_ATTENTION if counts.get(each)],
        "needing_count": sum(counts.get(each, 0) for each in health.NEEDS_ATTENTION),
        "event_count": len(services().catalog.event_types),
    }
