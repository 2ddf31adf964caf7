"""Cancellation: taking a delivery out of the queue, so that no further attempt is made."""

from enum import StrEnum

from sqlalchemy import select

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, PendingDelivery


class CancelResult(StrEnum):
    CANCELED = "Canceled. Nothing more is sent until you replay it."
    IN_FLIGHT = "This delivery is being sent right now. Cancel once the attempt is over."
    FINISHED = "There is nothing to cancel: this delivery waits for no further attempt."


def cancel(database: WriteDatabase, delivery_id: str, *, actor: Actor) -> CancelResult:
    """Ends a pending delivery that is not being sent at the moment."""
    now = clock.now()
    with database.begin() as connection:
        waiting = connection.execute(
            select(
                PendingDelivery.generation,
                PendingDelivery.is_being_sent(now).label("is_being_sent"),
                Delivery.workspace_id,
            )
            .join(Delivery, Delivery.id == PendingDelivery.delivery_id)
            .where(PendingDelivery.delivery_id == delivery_id)
        ).first()
        if waiting is None:
            return CancelResult.FINISHED
        mine = [(delivery_id, waiting.generation)]
        # A claim in between bumps the generation, and then nothing leaves.
        if waiting.is_being_sent or not delivery_queue.remove(
            connection, mine, DeliveryState.CANCELED, now=now
        ):
            return CancelResult.IN_FLIGHT
        audit.record(
            connection,
            actor,
            "delivery.cancel",
            workspace_id=waiting.workspace_id,
            target=delivery_id,
            now=now,
        )
    return CancelResult.CANCELED
