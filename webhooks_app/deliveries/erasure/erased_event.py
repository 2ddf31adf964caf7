"""What was erased of an event, and how long that may take."""

import math
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, frozen=True)
class ErasureLimits:
    """How much one transaction changes, and how long it all may take; `wal_seconds` as retention has it.

    `samples`: whether PostgreSQL's statistics are made anew at once, which may take seconds. Otherwise the
    next run of retention does so, once for all that was erased until then.
    An event may have a hundred thousand deliveries; accepting waits for each transaction on SQLite.
    """

    batch_rows: int = 500
    seconds: float = math.inf
    wal_seconds: float = 5.0
    samples: bool = True


DEFAULT_LIMITS = ErasureLimits()
# For whoever waits for an answer, which is to come well before the deadline of a request.
REQUEST_LIMITS = ErasureLimits(seconds=2.0, wal_seconds=0.5, samples=False)


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
    # values of it, the file beside an SQLite database has bytes of it, or a process of the previous version
    # may still record what an attempt got: retention does the rest.
    are_attempts_left: bool
    are_samples_left: bool
    is_left_in_wal: bool
    may_come_back: bool

    @property
    def is_complete(self) -> bool:
        is_any_left = self.are_attempts_left or self.are_samples_left or self.is_left_in_wal
        return not (is_any_left or self.may_come_back)
