"""What was before an incident: the last success and the last change of the endpoint. Only reads."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, literal, null, select
from sqlalchemy.orm import Session

from webhooks_app.accounts.audit import ACTIONS
from webhooks_app.core import ids
from webhooks_app.db import attempt_heads, moment_index
from webhooks_app.db.models import Attempt, AuditEntry, Delivery, DeliveryState, Endpoint

HEAD_BYTES = 2048
# What the response's headers are read from, without those of the request.
HEAD_COLUMNS: Any = (
    Attempt.delivery_id,
    Attempt.started_at,
    literal("[]").label("plain_request_headers"),
    func.substr(Attempt.plain_response_headers, 1, HEAD_BYTES).label("plain_response_headers"),
    Attempt.packed_heads,
    null().label("constant_headers"),
)
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
class SettingChange:
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
    earlier = (
        select(Delivery.id)
        .where(moment_index.found_by((Delivery.endpoint_id, endpoint.id)))
        .where(moment_index.below(Delivery.id, accepted_before))
    )
    dialect = session.get_bind().dialect
    nearest = moment_index.first(dialect, earlier, Delivery.id, SUCCESSES_LOOKED_AT, upwards=False).subquery()
    row = session.execute(
        select(
            Delivery.id,
            Delivery.last_status,
            Attempt.remote_address,
            *HEAD_COLUMNS,
        )
        .join(nearest, nearest.c.id == Delivery.id)
        .join(Attempt, and_(Attempt.delivery_id == Delivery.id, Attempt.generation == Delivery.generation))
        .where(Delivery.state == DeliveryState.DELIVERED, Delivery.last_attempt_at <= at)
        .order_by(Delivery.last_attempt_at.desc())
        .limit(1)
    ).first()
    if row is None:
        return LastSuccess(at)
    return LastSuccess(at, row.id, row.last_status, row.remote_address or "", response_head(row))


def response_head(row: Any) -> bytes:
    """Return the start of the response's headers, of a row with HEAD_COLUMNS; no attempt has none."""
    return b"" if row.delivery_id is None else attempt_heads.read(row).response[:HEAD_BYTES]


def read_change(session: Session, endpoint_id: str) -> SettingChange | None:
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
    return SettingChange(
        entry.created_at,
        entry.actor,
        ACTIONS.get(entry.action, entry.action),
        tuple(fields),
        str(details.get("url_before", "")),
    )
