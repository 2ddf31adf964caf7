"""Outcomes on their way into the database: gathered, written together, kept while it does not answer."""

import logging
import time
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError, OperationalError

from webhooks_app.core import clock, failpoints
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.recording import Finished, record

log = logging.getLogger(__name__)

# A batch is written when it is this large or its oldest outcome this old: one transaction for many rows
# under load, hardly any delay without it.
LARGEST = 250
OLDEST_SECONDS = 0.03

# What is wrong with a value in it, said by the database or by its driver.
_REFUSED = (DBAPIError, ValueError, OverflowError)


class OutcomeBuffer:
    """One per process; `recorded` counts what it ever wrote."""

    def __init__(
        self, database: WriteDatabase, wake_ups: WakeUps, *, delays: tuple[float, ...], lease: timedelta
    ) -> None:
        self._database = database
        self._wake_ups = wake_ups
        self._delays = delays
        self._lease = lease
        self._finished: list[Finished] = []
        self._since = 0.0
        self._is_again = False
        self.recorded = 0

    def __bool__(self) -> bool:
        return bool(self._finished)

    @property
    def is_ripe(self) -> bool:
        return len(self._finished) >= LARGEST or time.monotonic() - self._since >= OLDEST_SECONDS

    @property
    def newest(self) -> Finished:
        return self._finished[-1]

    def add(self, finished: Finished) -> None:
        if not self._finished:
            self._since = time.monotonic()
        self._finished.append(finished)

    def write(self) -> None:
        """Writes what was gathered. Raises OperationalError, and then keeps it for another try."""
        if not self._finished:
            return
        failpoints.hit("worker.recording")
        try:
            due = self._write_all()
        except OperationalError:
            self._is_again = True
            self._drop_if_lapsed()
            raise
        self._is_again = False
        failpoints.hit("worker.recorded")
        if due:
            self._wake_ups.schedule_wake_ups(due)

    def _write_all(self) -> list[datetime]:
        try:
            due = self._record(self._finished)
        except OperationalError:
            raise
        except _REFUSED:
            log.exception("batch_refused", extra={"outcomes": len(self._finished)})
            return self._write_each()
        self.recorded += len(self._finished)
        self._finished = []
        return due

    def _write_each(self) -> list[datetime]:
        """One that the database refuses must not take the others along; its delivery's lease runs out."""
        due: list[datetime] = []
        while self._finished:
            try:
                due += self._record(self._finished[:1])
                self.recorded += 1
            except OperationalError:
                raise
            except _REFUSED:
                log.exception("outcome_refused", extra={"delivery_id": self._finished[0].claim.delivery_id})
            del self._finished[0]
        return due

    def _record(self, some: list[Finished]) -> list[datetime]:
        return record(self._database, some, delays=self._delays, now=clock.now(), is_again=self._is_again)

    def _drop_if_lapsed(self) -> None:
        """Past the lease all of it has fallen due again, whatever these outcomes say."""
        if time.monotonic() - self._since > self._lease.total_seconds():
            log.error("outcomes_lost", extra={"outcomes": len(self._finished)})
            self._finished = []
