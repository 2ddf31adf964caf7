"""What is claimed and not sent: its endpoint was disabled or deleted, or its payload was erased."""

from datetime import datetime

from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState
from webhooks_app.endpoints import destinations
from webhooks_app.worker import claims
from webhooks_app.worker.claimed_delivery import ClaimedDelivery


def hold_or_cancel(database: WriteDatabase, deliveries: list[ClaimedDelivery], *, now: datetime) -> bool:
    """Hold or cancel the deliveries; release those whose endpoints accept them again. Return if any does."""
    with database.begin() as connection:
        states = destinations.not_accepting(connection, {each.endpoint_id for each in deliveries})
        for state in set(states.values()):
            keys = [each.key for each in deliveries if states.get(each.endpoint_id) is state]
            delivery_queue.remove(connection, keys, state, now=now)
    accepted = [each for each in deliveries if each.endpoint_id not in states]
    claims.release(database, accepted, due_at=now)
    return bool(accepted)


def cancel(database: WriteDatabase, deliveries: list[ClaimedDelivery], *, now: datetime) -> None:
    """Cancel the deliveries without an attempt, except those that somebody has claimed since."""
    with database.begin() as connection:
        keys = [each.key for each in deliveries]
        delivery_queue.remove(connection, keys, DeliveryState.CANCELED, now=now)
