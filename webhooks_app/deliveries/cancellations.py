"""Cancellation: taking a delivery out of the queue, so that no further attempt is made."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, delete, not_, select

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, PendingDelivery
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries.replays import UnknownDelivery


class CancelResult(StrEnum):
    """What a cancellation came to; the value is the sentence that the console shows."""

    CANCELED = "Canceled. Nothing more is sent until you replay it."
    IN_FLIGHT = "This delivery is being sent right now. Cancel once the attempt is over."
    FINISHED = "There is nothing to cancel: this delivery waits for no further attempt."


def cancel(database: WriteDatabase, workspace_id: str, delivery_id: str, *, actor: Actor) -> CancelResult:
    """End a pending delivery that is not being sent at the moment. Raises UnknownDelivery."""
    if not ids.is_id("dlv", delivery_id):
        raise UnknownDelivery
    now = clock.now()
    with database.begin() as connection:
        if not cancel_several(connection, workspace_id, [delivery_id], now=now):
            return _refusal(connection, workspace_id, delivery_id)
        audit.record(
            connection, actor, "delivery.cancel", workspace_id=workspace_id, target=delivery_id, now=now
        )
    return CancelResult.CANCELED


def cancel_several(
    connection: WriteConnection, workspace_id: str, delivery_ids: Collection[str], *, now: datetime
) -> list[str]:
    """End those of the deliveries that are pending and not being sent; return their ids."""
    if not delivery_ids:
        return []
    is_owned = select(Delivery.id).where(
        Delivery.id == PendingDelivery.delivery_id, Delivery.workspace_id == workspace_id
    )
    locked = (
        select(PendingDelivery.delivery_id)
        .where(PendingDelivery.delivery_id.in_(delivery_ids), not_(PendingDelivery.is_being_sent(now)))
        .where(is_owned.correlate(PendingDelivery).exists())
        .order_by(PendingDelivery.delivery_id)
        .with_for_update(of=PendingDelivery)
    )
    removed = connection.execute(
        delete(PendingDelivery)
        .where(PendingDelivery.delivery_id.in_(locked))
        .returning(PendingDelivery.delivery_id, PendingDelivery.generation)
    )
    rows = removed.all()
    delivery_queue.set_state(connection, rows, DeliveryState.CANCELED, now=now)
    return [delivery_id for delivery_id, _ in rows]


def _refusal(connection: Connection, workspace_id: str, delivery_id: str) -> CancelResult:
    """Return why the delivery is not canceled. Raises UnknownDelivery."""
    found = connection.execute(
        select(PendingDelivery.delivery_id)
        .select_from(Delivery)
        .outerjoin(PendingDelivery, PendingDelivery.delivery_id == Delivery.id)
        .where(Delivery.id == delivery_id, Delivery.workspace_id == workspace_id)
    ).first()
    if found is None:
        raise UnknownDelivery
    return CancelResult.FINISHED if found.delivery_id is None else CancelResult.IN_FLIGHT
