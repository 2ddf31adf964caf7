"""Choosing one of many endpoints: a field with suggestions, which takes a name or an id."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Blueprint, g, render_template, request
from sqlalchemy import ColumnElement, Row, Select, func, select

from webhooks_app.core import ids
from webhooks_app.db.models import Endpoint
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.endpoints.endpoint_list import LONGEST_SEARCH
from webhooks_app.extensions import db
from webhooks_app.web.responses import PageResponse

SUGGESTED = 10
# What a suggestion adds to a name that several endpoints have.
_ID_BEHIND_NAME = re.compile(r"\((ep_[0-9a-z]+)\)\s*$")

Choice = Row[Any]


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/endpoints/suggestions")(suggestions)


def suggestions() -> PageResponse:
    """Return the first endpoints whose name holds what was typed, as options of the field's list."""
    typed = _cleaned(request.args.get("endpoint", ""))
    found = _matches(Endpoint.name.icontains(typed, autoescape=True), SUGGESTED)
    return render_template("deliveries/_suggestions.html", labels=[label for _, label in _labelled(found)])


def with_endpoint_id(arguments: Mapping[str, str]) -> dict[str, str]:
    """Return a filter's arguments with an endpoint's id where its name was given. Raises FilterError."""
    found = dict(arguments)
    typed = _cleaned(found.get("endpoint", ""))
    if typed and not ids.is_id("ep", typed):
        behind_name = _ID_BEHIND_NAME.search(typed)
        found["endpoint"] = behind_name[1] if behind_name else _find_id(typed)
    return found


def endpoint_label(endpoint_id: str) -> str:
    """Return what stands in the field for an endpoint of the workspace, deleted or not."""
    if not endpoint_id:
        return ""
    name = endpoint_names([endpoint_id]).get(endpoint_id, "")
    return f"{name} ({endpoint_id})" if _is_ambiguous(endpoint_id) else name


def endpoint_names(endpoint_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of the workspace's endpoints among the ids, of deleted ones as well."""
    rows = db.session.execute(
        select(Endpoint.id, Endpoint.name, Endpoint.deleted_at).where(
            Endpoint.workspace_id == g.workspace.id, Endpoint.id.in_(set(endpoint_ids))
        )
    )
    return {row.id: f"{row.name} (deleted)" if row.deleted_at else row.name for row in rows}


def first_endpoints(limit: int) -> list[tuple[str, str]]:
    """Return id and name of the workspace's first endpoints, by name."""
    rows = db.session.execute(_live().order_by(func.lower(Endpoint.name), Endpoint.id).limit(limit))
    return [(row.id, row.name) for row in rows]


def _is_ambiguous(endpoint_id: str) -> bool:
    """Return whether its name alone leads elsewhere: another has it, or this one is deleted."""
    endpoint = db.session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.deleted_at is not None:
        return endpoint is not None
    return len(_matches(_is_called(endpoint.name), 2)) > 1


def _find_id(typed: str) -> str:
    """Return the endpoint that is called so or, if none is, the only one whose name holds it."""
    exact = _matches(_is_called(typed), 2)
    found = exact or _matches(Endpoint.name.icontains(typed, autoescape=True), 2)
    if len(found) == 1:
        return str(found[0].id)
    if found:
        raise FilterError("endpoint", f"Several endpoints match “{typed}”. Choose one of the suggestions.")
    raise FilterError("endpoint", f"No endpoint is called “{typed}”. Choose one of the suggestions.")


def _is_called(name: str) -> ColumnElement[bool]:
    return func.lower(Endpoint.name) == func.lower(name)


def _matches(condition: ColumnElement[bool], limit: int) -> list[Choice]:
    ordered = _live().where(condition).order_by(func.lower(Endpoint.name), Endpoint.id)
    return list(db.session.execute(ordered.limit(limit)))


def _labelled(found: list[Choice]) -> list[tuple[str, str]]:
    """Return id and label; those that share a name have their id behind it."""
    names = [row.name.lower() for row in found]
    return [
        (row.id, f"{row.name} ({row.id})" if names.count(row.name.lower()) > 1 else row.name) for row in found
    ]


def _live() -> Select[str, str]:
    return select(Endpoint.id, Endpoint.name).where(Endpoint.is_live_in(g.workspace.id))


def _cleaned(text: str) -> str:
    return text.strip()[:LONGEST_SEARCH]
