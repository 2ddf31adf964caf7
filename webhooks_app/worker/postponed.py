"""Deliveries that this platform had no means left to send: due again shortly, with no attempt recorded.

No means: sockets, ports, memory, threads. Nothing went out, so that nothing is said of the endpoint, and the
schedule of retries is not spent. What cannot be sent for long is recorded as an attempt all the same, or a
delivery would be pending for ever without a word.
"""

import logging
import time
from collections import Counter
from datetime import timedelta

from webhooks_app.core import clock
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.engine_limits import PostponeLimits

log = logging.getLogger(__name__)


class PostponedDeliveries:
    """One per engine."""

    def __init__(self, database: WriteDatabase, wake_ups: WakeUps, limits: PostponeLimits) -> None:
        self._database = database
        self._wake_ups = wake_ups
        self._limits = limits
        self._waiting: list[ClaimedDelivery] = []
        self._times: Counter[str] = Counter()
        self._short_until = self._logged_at = float("-inf")

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def is_out_of_resources(self) -> bool:
        """Whether to send nothing more just now, as it would fail in the same way."""
        return time.monotonic() < self._short_until

    def take(self, delivery: ClaimedDelivery) -> bool:
        """Return whether the delivery, which has its outcome, is postponed instead of recorded."""
        if delivery.outcome.kind is not OutcomeClass.PLATFORM:
            if self._times:
                self._times.pop(delivery.delivery_id, None)
            return False
        self._short_until = time.monotonic() + self._limits.rest_seconds
        self._log(delivery)
        if len(self._times) > self._limits.remembered_deliveries:
            self._times.clear()
        self._times[delivery.delivery_id] += 1
        if self._times[delivery.delivery_id] > self._limits.most_times:
            del self._times[delivery.delivery_id]
            return False
        self._waiting.append(delivery)
        return True

    def release(self) -> None:
        """Make what is postponed due again. Raises errors of the database, and then keeps it."""
        if not self._waiting:
            return
        due_at = clock.now() + timedelta(seconds=self._limits.delay_seconds)
        claims.release(self._database, self._waiting, due_at=due_at)
        self._waiting.clear()
        self._wake_ups.schedule_wake_ups([due_at])

    def drop(self) -> list[ClaimedDelivery]:
        """Return what is postponed, and forget it."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _log(self, delivery: ClaimedDelivery) -> None:
        now = time.monotonic()
        if now - self._logged_at >= self._limits.logged_every_seconds:
            self._logged_at = now
            log.warning("out_of_resources", extra={"reason": delivery.outcome.detail})
