"""What the paths of the API name: rows of the token's workspace, and nobody else's."""

from typing import NoReturn, TypeVar

from flask import g

from webhooks_app.core import ids
from webhooks_app.db.models import Endpoint, Recovery, Workspace
from webhooks_app.deliveries.log.rows import DeliveryRow, read_row
from webhooks_app.extensions import db
from webhooks_app.web.api.errors import refuse

Owned = TypeVar("Owned", Endpoint, Recovery)


def load_workspace() -> Workspace:
    return db.session.get_one(Workspace, g.workspace_id)


def load_endpoint(endpoint_id: str, *, with_listeners: bool = False) -> Endpoint:
    """Return the workspace's endpoint. Raises ApiError 404, also for one that was deleted.

    A listener is its program's to change and to end, so it is found only where it can be used as well.
    """
    endpoint = _load(Endpoint, "ep", endpoint_id)
    if endpoint is None or endpoint.deleted_at is not None or (endpoint.is_listener and not with_listeners):
        refuse_unknown("endpoint")
    return endpoint


def check_endpoint(endpoint_id: str) -> None:
    """Raise ApiError 404 unless it is, or was, the workspace's: the log outlives a deleted endpoint."""
    if _load(Endpoint, "ep", endpoint_id) is None:
        refuse_unknown("endpoint")


def load_recovery(recovery_id: str) -> Recovery:
    """Return the workspace's recovery. Raises ApiError 404."""
    return _load(Recovery, "rcv", recovery_id) or refuse_unknown("recovery")


def load_delivery(delivery_id: str) -> DeliveryRow:
    """Return the workspace's delivery. Raises ApiError 404."""
    return read_row(db.session(), g.workspace_id, delivery_id) or refuse_unknown("delivery")


def refuse_unknown(what: str) -> NoReturn:
    """Raise ApiError 404."""
    refuse(404, "not_found", f"There is no such {what}.")


def _load(model: type[Owned], prefix: str, public_id: str) -> Owned | None:
    row = db.session.get(model, public_id) if ids.is_id(prefix, public_id) else None
    return row if row is not None and row.workspace_id == g.workspace_id else None
