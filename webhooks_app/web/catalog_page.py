"""The event catalog, with the fields of each event's data and how many endpoints get it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, g, render_template
from sqlalchemy import func, not_, select

from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.extensions import db, services
from webhooks_app.web.responses import PageResponse


class Field(NamedTuple):
    """A field of a schema; `path` is dotted, `kind` in words."""

    path: str
    kind: str
    is_required: bool
    description: str


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
        fields=fields,
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[Field]:
    """Yield the schema's fields, each object's own right behind it; `[]` marks the items of a list."""
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        part = described if isinstance(described, Mapping) else {}  # true and false are schemas, too
        path = f"{prefix}{name}"
        yield Field(path, _kind(part), name in required, part.get("description", ""))
        yield from fields(part, f"{path}.")
        if isinstance(part.get("items"), dict):
            yield from fields(part["items"], f"{path}[].")


def _kind(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return "one of " + ", ".join("null" if each is None else str(each) for each in part["enum"])
    kind = part.get("type", "any")
    name = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if isinstance(part.get("items"), dict):
        name += f" of {_kind(part['items'])}"
    return f"{name}, {part['format']}" if "format" in part else name


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
