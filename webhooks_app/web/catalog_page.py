"""The event catalog, with the fields of each event's data and how many endpoints get it."""

import json

from flask import Blueprint, g, render_template
from sqlalchemy import func, not_, select

from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.extensions import db, services
from webhooks_app.web.documents import schema_fields
from webhooks_app.web.responses import PageResponse


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)


def index() -> PageResponse:
    counts = _subscriber_counts()
    return render_template(
        "catalog/index.html",
        groups=services().catalog.groups,
        count=len(services().catalog.event_types),
        counts=counts,
        left={name: counts[name] for name in services().catalog.missing(counts)},
        fields=schema_fields.fields,
        kind=schema_fields.kind,
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def _subscriber_counts() -> dict[str, int]:
    """Return how many endpoints get each event type, those that left the catalog included."""
    is_live = Endpoint.is_live_in(g.workspace.id)
    everything = select(func.count()).select_from(Endpoint).where(is_live, Endpoint.all_events)
    chosen = (
        select(Subscription.event_type, func.count())
        .join(Endpoint, Endpoint.id == Subscription.endpoint_id)
        .where(is_live, not_(Endpoint.all_events))
        .group_by(Subscription.event_type)
    )
    for_all = db.session.scalar(everything) or 0
    by_type = {row[0]: row[1] for row in db.session.execute(chosen)}
    return by_type | {name: for_all + by_type.get(name, 0) for name in services().catalog.names}
