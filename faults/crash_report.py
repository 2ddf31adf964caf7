"""What a process of the platform reports: before it is killed at a failpoint, where, and what it held.

A report lists the deliveries that the process had sent and not recorded, by the engine's own account. The
checker takes them for those that may be sent once more. Of a web, it lists the events that it was accepting.
One that lives on reports what it held when a job's time was over, and outcomes that came after their leases,
whose deliveries another process may have sent once more.
"""

import os
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from faults.journal import Journal
from webhooks_app import config, tasks
from webhooks_app.core import clock, failpoints
from webhooks_app.worker import delivery_updates
from webhooks_app.worker.claimed_delivery import ClaimedDelivery, ClaimKey
from webhooks_app.worker.outcome_buffer import OutcomeBuffer

FILE = "crash-reports.log"
# What is reported by a process that lives on.
TIMED_OUT, LEASE_ENDED = "job.timed_out", "lease.ended"
# A claim is a little older than its request, from which its age is told.
_BEFORE_REQUEST = timedelta(seconds=1)


def install() -> None:
    """Have this process, and those it forks, report what they hold unrecorded before they are killed.

    Reports go into the folder that WEBHOOKS_INSTANCE names. The engine of a process runs in the thread that
    reaches its failpoints, so that nothing is sent between the report and the kill.
    """
    failpoints.before_kill = _report
    tasks.deliver_due = _reporting_time_out(tasks.deliver_due)
    delivery_updates.write = _reporting_late_ones(delivery_updates.write)
    setattr(OutcomeBuffer, "_drop_expired", _reporting_dropped_ones(OutcomeBuffer._drop_expired))  # noqa: B010 - mypy


def _report(place: str, events: Iterable[str] = ()) -> None:
    _write(place, tasks.unrecorded(), events)


def _write(place: str, unrecorded: Collection[ClaimKey], events: Iterable[str] = ()) -> None:
    journal = Journal(Path(os.environ["WEBHOOKS_INSTANCE"]) / FILE)
    journal.write(at=place, pid=os.getpid(), unrecorded=sorted(unrecorded), events=sorted(events))
    journal.close()


def _reporting_time_out(deliver_due: Callable[[], None]) -> Callable[[], None]:
    """Report when a job is interrupted, as it may lose a batch that it was recording."""

    def reporting() -> None:
        try:
            deliver_due()
        except Exception:
            _report(TIMED_OUT)
            raise

    return reporting


def _reporting_late_ones(write: Callable[..., Any]) -> Callable[..., Any]:
    """Report outcomes of stale claims that are as old as a lease: those that were not written, and successes.

    A late success is written; then it is the newer claim's outcome that is not.
    """
    oldest = timedelta(seconds=config.read().lease_seconds) - _BEFORE_REQUEST

    def reporting(connection: Connection, deliveries: list[ClaimedDelivery], now: datetime) -> Any:
        written, subjects, successes = write(connection, deliveries, now)
        stale = [each for each in deliveries if each.key not in written or each.delivery_id in successes]
        if late := [each.key for each in stale if clock.now() - each.started_at >= oldest]:
            _write(LEASE_ENDED, late)
        return written, subjects, successes

    return reporting


def _reporting_dropped_ones(drop: Callable[[OutcomeBuffer], None]) -> Callable[[OutcomeBuffer], None]:
    """Report outcomes that are dropped, as the database was away for longer than a lease."""

    def reporting(buffer: OutcomeBuffer) -> None:
        before = set(buffer.unwritten)
        drop(buffer)
        if dropped := before - set(buffer.unwritten):
            _write(LEASE_ENDED, dropped)

    return reporting
