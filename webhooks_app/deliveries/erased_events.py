"""What was erased of events, and the copies of it that the database itself has outside their rows.

These are PostgreSQL's statistics and the file beside an SQLite database.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete

from webhooks_app.db import write_ahead_log
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import LatePayload
from webhooks_app.deliveries import payload_erasure


@dataclass(slots=True, frozen=True)
class ErasureLimits:
    """How much one transaction changes, and how long it all may take; `log_seconds` as retention has it.

    `samples`: whether PostgreSQL's statistics are made anew at once, which may take seconds. Otherwise the
    next run of retention does so, once for all that was erased until then.
    An event may have a hundred thousand deliveries; accepting waits for each transaction on SQLite.
    """

    batch_rows: int = 500
    seconds: float = math.inf
    log_seconds: float = 5.0
    samples: bool = True


DEFAULT_LIMITS = ErasureLimits()
# For whoever waits for an answer, which is to come well before the deadline of a request.
REQUEST_LIMITS = ErasureLimits(seconds=2.0, log_seconds=0.5, samples=False)


@dataclass(slots=True, frozen=True)
class ErasedEvent:
    """What was erased; `was_erased` says that the payload was gone before, since `payload_erased_at`."""

    event_id: str
    workspace_id: str
    payload_erased_at: datetime
    was_erased: bool
    deliveries_canceled: int
    attempts_erased: int
    # Whether attempts are left for which the time did not suffice, PostgreSQL's statistics may still have
    # values of it, the file beside an SQLite database has bytes of it, or a process of the code before may
    # still record what an attempt got: retention does the rest.
    are_attempts_left: bool
    are_samples_left: bool
    is_left_in_log: bool
    may_come_back: bool

    @property
    def is_complete(self) -> bool:
        is_any_left = self.are_attempts_left or self.are_samples_left or self.is_left_in_log
        return not (is_any_left or self.may_come_back)


def forget_copies(
    databases: Databases, erased: Sequence[ErasedEvent], *, limits: ErasureLimits = DEFAULT_LIMITS
) -> list[ErasedEvent]:
    """Take what was erased out of PostgreSQL's statistics and the file beside an SQLite database.

    Once for however many events, as the statistics take seconds. Return them with what is left then.
    """
    are_sampled = any(each.are_samples_left for each in erased) and not _forget_samples(
        databases.write, limits
    )
    is_in_log = any(each.is_left_in_log for each in erased) and not write_ahead_log.truncate(
        databases.read, within_seconds=limits.log_seconds
    )
    return [_finish(databases.write, each, are_sampled, is_in_log) for each in erased]


def _finish(database: WriteDatabase, erased: ErasedEvent, are_sampled: bool, is_in_log: bool) -> ErasedEvent:
    """Return it with what is left; where that is nothing, retention has nothing to do for it, either."""
    done = replace(
        erased,
        are_samples_left=erased.are_samples_left and are_sampled,
        is_left_in_log=erased.is_left_in_log and is_in_log,
    )
    if done.is_complete:
        _leave_nothing(database, erased.workspace_id, erased.event_id)
    return done


def _leave_nothing(database: WriteDatabase, workspace_id: str, event_id: str) -> None:
    mine = delete(LatePayload).where(
        LatePayload.workspace_id == workspace_id, LatePayload.event_id == event_id
    )
    with database.begin() as connection:
        connection.execute(mine)


def _forget_samples(database: WriteDatabase, limits: ErasureLimits) -> bool:
    if not limits.samples:
        return not payload_erasure.has_samples(database)
    return payload_erasure.forget_samples(database)
