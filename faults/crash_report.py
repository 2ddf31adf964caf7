"""What a process of the platform writes down before it is killed at a failpoint: where, and what it had sent.

A report lists every delivery that the process ever started to send, recorded or not. The checker takes the
list as an upper bound on what may be sent once more.
"""

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from faults.journal import Journal
from webhooks_app import tasks
from webhooks_app.core import failpoints
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import engine
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.recording import record

FILE = "crash-reports.log"
TIMED_OUT = "job.timed_out"

_sent: set[Any] = set()  # (delivery id, generation)
_sending = threading.Lock()


def install() -> None:
    """Have this process, and those it forks, track what they send and report it before they are killed.

    Reports go into the folder that WEBHOOKS_INSTANCE names.
    """
    failpoints.before_kill = _report_last
    Sender.start = _tracking_start(Sender.start)  # type: ignore[method-assign]
    # Recording does not call it by this name, so that nothing is taken off the list.
    engine.record = _tracking_record(record)  # type: ignore[attr-defined]
    tasks.deliver_due = _reporting_time_out(tasks.deliver_due)


def _report_last(place: str) -> None:
    _sending.acquire()  # and never released: no other thread starts to send between the report and the kill
    _report(place)


def _report(place: str) -> None:
    journal = Journal(Path(os.environ["WEBHOOKS_INSTANCE"]) / FILE)
    journal.write(at=place, pid=os.getpid(), sent=sorted(_sent))
    journal.close()


def _tracking_start(start: Callable[..., None]) -> Callable[..., None]:
    def tracking(sender: Sender, key: Any, request: Request) -> None:
        with _sending:
            _sent.add(key)
            start(sender, key, request)

    return tracking


def _tracking_record(record: Callable[..., list[datetime]]) -> Callable[..., list[datetime]]:
    def tracking(database: WriteDatabase, batch: list[ClaimedDelivery], **values: Any) -> list[datetime]:
        due = record(database, batch, **values)
        _sent.difference_update(each.key for each in batch)
        return due

    return tracking


def _reporting_time_out(deliver_due: Callable[[], None]) -> Callable[[], None]:
    """Report when a job is interrupted, as it may lose a batch that it was recording."""

    def reporting() -> None:
        try:
            deliver_due()
        except Exception:
            _report(TIMED_OUT)
            raise

    return reporting
