"""The event catalog, with the fields of each event's data and the endpoints that subscribe to it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, g, render_template
from sqlalchemy import select

from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.extensions import db, services
from webhooks_app.web.responses import PageResponse


class Subscriber(NamedTuple):
    id: str
    name: str


class Field(NamedTuple):
    """A field of a schema; `path` is dotted, `kind` in words."""

    path: str
    kind: str
    is_required: bool
    description: str


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)


def index() -> PageResponse:
    return render_template(
        "catalog/index.html",
        groups=services().catalog.groups,
        count=len(services().catalog.event_types),
        subscribers=_subscribers(),
        fields=fields,
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[Field]:
    """Yield the schema's fields, each object's own right behind it; `[]` marks the items of a list."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
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


def _subscribers() -> dict[str, list[Subscriber]]:
    """Return who subscribes to each event type, in one query."""
    rows = db.session.execute(
        select(Endpoint.id, Endpoint.name, Endpoint.all_events, Subscription.event_type)
        .outerjoin(Subscription, Subscription.endpoint_id == Endpoint.id)
        .where(Endpoint.workspace_id == g.workspace.id, Endpoint.deleted_at.is_(None))
        .order_by(Endpoint.name, Endpoint.id)
    )
    subscribers: dict[str, list[Subscriber]] = defaultdict(list)
    for endpoint_id, name, all_events, event_type in rows:
        for each in sorted(services().catalog.names) if all_events else (event_type,):
            subscribers[each].append(Subscriber(endpoint_id, name))
    return subscribers
