"""What is claimed and not sent: its endpoint was disabled or deleted, or its payload was erased."""

import logging
from datetime import datetime

from webhooks_app.core import clock
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState
from webhooks_app.endpoints import destinations
from webhooks_app.worker import claims
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

log = logging.getLogger(__name__)


class UnsendableDeliveries:
    """One per engine: what was claimed and will not be sent, until the database has taken that.

    `not_accepted`: those of endpoints that accepted nothing when they were to be started. `erased`: those
    that have no payload any more.
    """

    def __init__(self, database: WriteDatabase) -> None:
        self._database = database
        self.not_accepted: list[ClaimedDelivery] = []
        self.erased: list[ClaimedDelivery] = []

    def __bool__(self) -> bool:
        return bool(self.not_accepted or self.erased)

    def settle_not_accepted(self) -> bool:
        """Hold, cancel or release those that their endpoints did not accept.

        Return whether some of them accept deliveries again. Raises errors of the database, and then keeps
        them.
        """
        if not self.not_accepted:
            return False
        is_any_accepted = hold_or_cancel(self._database, self.not_accepted, now=clock.now())
        self.not_accepted.clear()
        return is_any_accepted

    def cancel_erased(self) -> None:
        """Cancel what has no payload any more; the endpoint is not asked.

        Code from before payloads were erased may still replay such a delivery during an upgrade, or after
        going back. Raises errors of the database, and then keeps them.
        """
        if not self.erased:
            return
        cancel(self._database, self.erased, now=clock.now())
        for each in self.erased:
            log.warning("payload_erased", extra={"delivery_id": each.delivery_id})
        self.erased.clear()

    def drop(self) -> list[ClaimedDelivery]:
        """Forget and return what is left."""
        left = [*self.not_accepted, *self.erased]
        self.not_accepted.clear()
        self.erased.clear()
        return left


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
