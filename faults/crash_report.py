"""What a process of the platform writes down as it dies at a failpoint: where, and what it had sent.

Each send that it has not recorded will be sent once more, and nothing else of its will.
"""

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from faults.journal import Journal
from webhooks_app import tasks
from webhooks_app.core import failpoints
from webhooks_app.transport.request import Request
from webhooks_app.transport.sender import Sender
from webhooks_app.worker import engine
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.recording import record

FILE = "last-words.log"
TIMED_OUT = "job.timed_out"

_unrecorded: set[Any] = set()  # (delivery id, generation)
_sending = threading.Lock()


def noted() -> None:
    """Has this process, and those it forks, note what they send; its folder is the instance's."""
    failpoints.last_words = _say_last
    Sender.start = _noting_start(Sender.start)  # type: ignore[method-assign]
    engine.record = _noting_record(record)  # type: ignore[attr-defined]
    tasks.deliver_due = _noting_time_out(tasks.deliver_due)


def _say_last(place: str) -> None:
    _sending.acquire()  # for good: no other thread sends anything any more
    _say(place)


def _say(place: str) -> None:
    journal = Journal(Path(os.environ["WEBHOOKS_INSTANCE"]) / FILE)
    journal.write(at=place, pid=os.getpid(), held=sorted(_unrecorded))
    journal.close()


def _noting_start(start: Callable[..., None]) -> Callable[..., None]:
    def noting(sender: Sender, key: Any, request: Request) -> None:
        with _sending:
            _unrecorded.add(key)
            start(sender, key, request)

    return noting


def _noting_record(record: Callable[..., list[datetime]]) -> Callable[..., list[datetime]]:
    def noting(database: Engine, batch: list[ClaimedDelivery], **values: Any) -> list[datetime]:
        due = record(database, batch, **values)
        _unrecorded.difference_update(each.key for each in batch)
        return due

    return noting


def _noting_time_out(deliver_due: Callable[[], None]) -> Callable[[], None]:
    """A job that is interrupted may lose a batch that it was recording."""

    def noting() -> None:
        try:
            deliver_due()
        except Exception:
            _say(TIMED_OUT)
            raise

    return noting
