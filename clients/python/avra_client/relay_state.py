"""How a relay is set up, and its state."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from avra_client.claimed_rows import Outcomes
from avra_client.client import Result

log = logging.getLogger("avra_client.relay")  # with whatever else a relay says


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """What a relay takes at once, and how long it waits.

    `keys_kept_hours` is how long the platform knows an idempotency key: as long as the workspace keeps its
    log, and a day at least. `margin_hours` of it are left for clocks that differ. `keep_sent_hours` is how
    long rows are kept once they are sent, for `resend`. A row that is not taken while others are is sent
    again after `failing_pause_seconds`, then ever more rarely, mostly for `failing_send_seconds` at most, as
    others wait meanwhile; and set aside after `failing_hours`. What the app's database does not answer in
    `database_seconds` is given up with its connection.
    """

    batch: int = 500
    batch_bytes: int = 3 * 1024 * 1024
    lease_seconds: float = 120.0
    send_seconds: float = 30.0
    poll_seconds: float = 0.5
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    keys_kept_hours: float = 24.0
    margin_hours: float = 1.0
    keep_sent_hours: float = 0.0
    failing_hours: float = 6.0
    database_seconds: float = 30.0
    failing_send_seconds: float = 5.0
    failing_pause_seconds: float = 5.0
    longest_failing_pause_seconds: float = 3600.0

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= 10_000:
            raise ValueError("batch is 1 to 10000")
        if self.send_seconds > self.lease_seconds / 2:
            raise ValueError("a lease is at least twice as long as a batch may take to be sent")
        if self.keys_kept_hours <= self.margin_hours:
            raise ValueError("keys_kept_hours is more than the margin of an hour")


DEFAULT_LIMITS = RelayLimits()


@dataclass(slots=True)
class Totals:
    """What a relay did since it started, in rows; `failures` are rounds that came to nothing."""

    sent: int = 0
    repeated: int = 0
    rejected: int = 0
    unknown: int = 0
    not_taken: int = 0
    postponed: int = 0
    failures: int = 0


@dataclass(slots=True)
class RelayState:
    """A relay's state: why its last round failed, and since when rounds have been failing."""

    totals: Totals = field(default_factory=Totals)
    last_failure: str = ""
    failing_since: float | None = None  # of time.monotonic()
    last_round_at: float = field(default_factory=time.monotonic)

    def note_outcomes(self, outcomes: Outcomes, results: Sequence[Result], seconds: float) -> None:
        """Count and log what came of a batch that took `seconds` to be handed over."""
        totals, repeated = self.totals, sum(bool(each.sent and each.sent.is_repeat) for each in results)
        not_taken = len(outcomes.released) + len(outcomes.uncertain)
        totals.sent += len(outcomes.accepted)
        totals.repeated += repeated
        totals.rejected += len(outcomes.rejected)
        totals.not_taken += not_taken
        totals.postponed += len(outcomes.failing)
        log.info(
            "handed over: accepted=%d repeated=%d rejected=%d not_taken=%d duration_ms=%d",
            *(len(outcomes.accepted), repeated, len(outcomes.rejected), not_taken, round(seconds * 1000)),
        )
        for row_id, reason in outcomes.rejected.items():
            log.error("row %s was rejected and set aside: %s", row_id, reason)
        for row_id, failing in outcomes.failing.items():
            log.error("row %s is not taken: %s", row_id, failing.reason)

    def note_unknown(self, count: int) -> None:
        """Count and log rows that were set aside, as nobody can tell whether they were accepted."""
        self.totals.unknown += count
        if count:
            log.error("%d rows were set aside as unknown: see `avra-relay set-aside`", count)
