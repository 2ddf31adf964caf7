"""A claimer whose clock is the test's."""

from collections.abc import Callable

from sqlalchemy import Connection

from webhooks_app.worker import endpoint_scan
from webhooks_app.worker.claimer import Claimer
from webhooks_app.worker.endpoint_scan import DueEndpoint
from webhooks_app.worker.engine_limits import ClaimLimits

# Long enough that no scan comes by time alone, unless a test says so; and none is left out.
LIMITS = ClaimLimits(scan_interval_seconds=3600, unscanned_endpoints=0)
CAPACITY = 100

MakeClaimer = Callable[..., Claimer]


class Clock:
    """Stands still; a scan takes `scan_seconds`, and `scanned_after` holds the cursor of each."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.scan_seconds = 0.0
        self.scanned_after: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def scan(self, connection: Connection, *, after: str, count: int) -> list[DueEndpoint]:
        self.scanned_after.append(after)
        self.now += self.scan_seconds
        return endpoint_scan.scan(connection, after=after, count=count)

    @property
    def scans(self) -> int:
        return len(self.scanned_after)


def claim(claimer: Claimer, free_slots: int = 16, *, is_sending: bool = False) -> int | None:
    """How many deliveries were claimed; None if it was not worth it."""
    claimed = claimer.claim(free_slots, is_sending=is_sending)
    return None if claimed is None else len(claimed)
