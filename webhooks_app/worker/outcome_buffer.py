"""Gather outcomes, write them together, and keep them while the database does not answer."""

import logging
import math
import time
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError

from webhooks_app.core import clock, failpoints
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db import transient_errors
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.rolling_upgrades import PACKED_HEADS, UpgradeEnd
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.counters import ProcessCounters
from webhooks_app.monitoring.stored_formats import StoredFormat, StoredFormats
from webhooks_app.monitoring.tracing import Tracer
from webhooks_app.worker import attempt_counts, attempt_spans, damaged_payloads
from webhooks_app.worker.claimed_delivery import ClaimedDelivery, ClaimKey
from webhooks_app.worker.constant_headers import StoredHeaders
from webhooks_app.worker.engine_limits import BufferLimits
from webhooks_app.worker.recording import record

log = logging.getLogger(__name__)

# A value that the database or its driver refuses, unless the error is a transient one.
_REFUSALS = (DBAPIError, ValueError, OverflowError)


class OutcomeBuffer:
    """One per engine; `recorded` counts the outcomes that it ever wrote."""

    def __init__(
        self,
        database: WriteDatabase,
        wake_ups: WakeUps,
        *,
        lease: timedelta,
        limits: BufferLimits,
        counters: ProcessCounters | None = None,
    ) -> None:
        self._database = database
        self._upgrade = UpgradeEnd(database.begin, PACKED_HEADS)
        self._constant_headers = StoredHeaders(database)
        self._formats = StoredFormats(database.begin)
        self._wake_ups = wake_ups
        self._lease = lease
        self._limits = limits
        self._counters = counters or ProcessCounters()
        self.tracer: Tracer | None = None
        self._deliveries: list[ClaimedDelivery] = []
        self._is_retry = False
        self.recorded = 0

    def __bool__(self) -> bool:
        return bool(self._deliveries)

    @property
    def unwritten(self) -> list[ClaimKey]:
        """The claims whose outcomes are known and not written yet."""
        return [each.key for each in self._deliveries]

    def add(self, delivery: ClaimedDelivery) -> None:
        """Add a delivery that has its outcome and its decision."""
        if delivery.outcome.kind is OutcomeClass.PAYLOAD:
            delivery.outcome = damaged_payloads.outcome(self._formats)
        delivery.buffered_at = time.monotonic()
        self._deliveries.append(delivery)

    def write_if_due(self, *, expects_more: bool) -> None:
        """Write the outcomes if they are many or old, or if no more are to come. Raises as `write` does."""
        if self._deliveries and (not expects_more or self._is_due):
            self.write()

    @property
    def seconds_left(self) -> float:
        """How long the outcomes may wait for others; infinite where there are none."""
        if not self._deliveries:
            return math.inf
        return max(0.0, self._deliveries[0].buffered_at + self._limits.oldest_seconds - time.monotonic())

    @property
    def _is_due(self) -> bool:
        return (
            len(self._deliveries) >= self._limits.largest
            or time.monotonic() - self._deliveries[0].buffered_at >= self._limits.oldest_seconds
            # A suspect's outcome is written at once: the next death of this worker must not count against it.
            or self._deliveries[-1].is_suspect
        )

    def write(self) -> None:
        """Write all outcomes and schedule their retries.

        Raises DATABASE_ERRORS that are transient, and then keeps the outcomes.
        """
        if not self._deliveries:
            return
        failpoints.hit("worker.recording")
        try:
            due = self._write_all()
        except transient_errors.DATABASE_ERRORS:
            self._is_retry = True
            self._drop_expired()
            raise
        except BaseException:  # such as the end of a job's time: they may have been written
            self._is_retry = True
            raise
        self._is_retry = False
        failpoints.hit("worker.recorded")
        if due:
            self._wake_ups.schedule_wake_ups(due)

    def _write_all(self) -> list[datetime]:
        try:
            due = self._record(self._deliveries)
        except _REFUSALS as error:
            transient_errors.raise_if_transient(error)
            log.exception("batch_refused", extra={"outcomes": len(self._deliveries)})
            return self._write_each()
        self.recorded += len(self._deliveries)
        self._deliveries = []
        return due

    def _write_each(self) -> list[datetime]:
        """Write one by one, so that an outcome which the database refuses takes no other along.

        The lease of its delivery then expires.
        """
        due: list[datetime] = []
        while self._deliveries:
            try:
                due += self._record(self._deliveries[:1])
                self.recorded += 1
            except _REFUSALS as error:
                transient_errors.raise_if_transient(error)
                log.exception("outcome_refused", extra={"delivery_id": self._deliveries[0].delivery_id})
            del self._deliveries[0]
        return due

    def _record(self, deliveries: list[ClaimedDelivery]) -> list[datetime]:
        now = clock.now()
        is_packed = self._upgrade.is_over(now)
        may_share = self._formats.newest() >= StoredFormat.SHARED_VALUES
        digests = self._constant_headers.digests(deliveries) if may_share else {}
        due = record(
            self._database,
            deliveries,
            now=now,
            is_retry=self._is_retry,
            is_packed=is_packed,
            constant_digests=digests,
        )
        self._counters.add(attempt_counts.count(deliveries))
        if self.tracer is not None:
            self.tracer.attempted(attempt_spans.of_attempts(deliveries))
        if log.isEnabledFor(logging.DEBUG):
            _log_each(deliveries)
        return due

    def _drop_expired(self) -> None:
        """Drop outcomes that are older than a lease, as their deliveries are due again."""
        oldest = time.monotonic() - self._lease.total_seconds()
        left = [each for each in self._deliveries if each.buffered_at >= oldest]
        if len(left) < len(self._deliveries):
            log.error("outcomes_lost", extra={"outcomes": len(self._deliveries) - len(left)})
            self._deliveries = left


def _log_each(deliveries: list[ClaimedDelivery]) -> None:
    for each in deliveries:
        ids = {"delivery_id": each.delivery_id, "event_id": each.event_id, "endpoint_id": each.endpoint_id}
        answer = {"outcome": each.outcome.kind, "status": each.outcome.status, "state": each.decision.state}
        log.debug("attempted", extra=ids | answer | {"attempt": each.generation})
