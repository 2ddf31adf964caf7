"""What was before an outage: the last success and the last change of the endpoint. Only reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from webhooks_app.accounts.audit import ACTIONS
from webhooks_app.core import ids
from webhooks_app.db.models import Attempt, AuditEntry, Delivery, DeliveryState, Endpoint

HEAD_BYTES = 2048
# The last success is looked for among so many deliveries accepted up to it.
SUCCESSES_LOOKED_AT = 50
# What changes how an endpoint is called.
_CHANGING_ACTIONS = (
    "endpoint.create",
    "endpoint.change",
    "endpoint.enable",
    "endpoint.disable",
    "secret.rotate",
    "secret.revoke",
)


@dataclass(frozen=True, slots=True)
class LastSuccess:
    """`delivery_id` is empty where the log does not hold it any more."""

    at: datetime
    delivery_id: str = ""
    status: int | None = None
    remote_address: str = ""
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody changed of the endpoint; `fields` are what, where that is known."""

    at: datetime
    actor: str
    description: str
    fields: tuple[str, ...]
    url_before: str


def read_last_success(session: Session, endpoint: Endpoint) -> LastSuccess | None:
    """Return the last success, with its delivery if that was accepted shortly before."""
    at = endpoint.health.last_success_at
    if at is None:
        return None
    accepted_before = ids.floor("dlv", at + timedelta(seconds=1))
    nearest = (
        select(Delivery.id)
        .where(Delivery.endpoint_id == endpoint.id, Delivery.id < accepted_before)
        .order_by(Delivery.id.desc())
        .limit(SUCCESSES_LOOKED_AT)
        .subquery()
    )
    row = session.execute(
        select(
            Delivery.id,
            Delivery.last_status,
            Attempt.remote_address,
            func.substr(Attempt.response_headers, 1, HEAD_BYTES),
        )
        .join(nearest, nearest.c.id == Delivery.id)
        .join(Attempt, and_(Attempt.delivery_id == Delivery.id, Attempt.generation == Delivery.generation))
        .where(Delivery.state == DeliveryState.DELIVERED, Delivery.last_attempt_at <= at)
        .order_by(Delivery.last_attempt_at.desc())
        .limit(1)
    ).first()
    if row is None:
        return LastSuccess(at)
    delivery_id, status, address, head = row
    return LastSuccess(at, delivery_id, status, address or "", bytes(head or b""))


def read_change(session: Session, endpoint_id: str) -> Change | None:
    """Return the last change of how the endpoint is called."""
    entry = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.target == endpoint_id, AuditEntry.action.in_(_CHANGING_ACTIONS))
        .order_by(AuditEntry.id.desc())
        .limit(1)
    ).first()
    if entry is None:
        return None
    details: dict[str, Any] = json.loads(entry.details)
    fields: Sequence[str] = details.get("changed", ())
    return Change(
        entry.created_at,
        entry.actor,
        ACTIONS.get(entry.action, entry.action),
        tuple(fields),
        str(details.get("url_before", "")),
    )
