"""The event catalog, with the fields of each event's data and the endpoints that subscribe to it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flask import g, render_template
from sqlalchemy import select

from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import db
from webhooks_app.web.access import WEBHOOKS, workspace_blueprint

blueprint = workspace_blueprint("catalog", __name__, WEBHOOKS + "/catalog")


class Subscriber(NamedTuple):
    id: str
    name: str


class Field(NamedTuple):
    """A field of a schema; `path` is dotted, `kind` in words."""

    path: str
    kind: str
    is_required: bool
    description: str


@blueprint.get("/")
def index() -> str:
    return render_template(
        "catalog/index.html",
        groups=catalog().groups,
        count=len(catalog().event_types),
        subscribers=_subscribers(),
        fields=fields,
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[Field]:
    """The schema's fields, each object's own right behind it; `[]` marks the items of a list."""
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
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if isinstance(part.get("items"), dict):
        words += f" of {_kind(part['items'])}"
    return f"{words}, {part['format']}" if "format" in part else words


def _subscribers() -> dict[str, list[Subscriber]]:
    """By event type, in one query."""
    rows = db.session.execute(
        select(Endpoint.id, Endpoint.name, Endpoint.all_events, Subscription.event_type)
        .outerjoin(Subscription, Subscription.endpoint_id == Endpoint.id)
        .where(Endpoint.workspace_id == g.workspace.id, Endpoint.deleted_at.is_(None))
        .order_by(Endpoint.name, Endpoint.id)
    )
    found: dict[str, list[Subscriber]] = defaultdict(list)
    for endpoint_id, name, all_events, event_type in rows:
        for each in sorted(catalog().names) if all_events else (event_type,):
            found[each].append(Subscriber(endpoint_id, name))
    return found
