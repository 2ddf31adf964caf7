"""What this process knows of the endpoints that have something due. No I/O.

A scan of the database steps over every endpoint that has pending deliveries, so it is made when there may be
new ones; between two scans, claims take from the endpoints that the last one found.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.endpoint_rate_limits import LONGEST_WAIT
from webhooks_app.worker.endpoint_scan import DueEndpoint


class DueEndpoints:
    """`cursor` is the endpoint id after which the next scan continues, `has_more` whether it has to."""

    def __init__(self) -> None:
        self._due: dict[str, DueEndpoint] = {}
        self._waiting: dict[str, DueEndpoint] = {}  # for a rate limit or a pause
        self.cursor = ""
        self.has_more = False

    def __bool__(self) -> bool:
        """Return whether something is due, now or as soon as a rate limit or a pause lets it go."""
        return bool(self._due or self._waiting or self.has_more)

    def clear(self) -> None:
        self._due.clear()
        self._waiting.clear()
        self.cursor, self.has_more = "", False

    def replace_scanned(self, scanned: list[DueEndpoint], *, is_end: bool, now: datetime) -> None:
        """Replace what was known of the endpoints behind the cursor: up to the last one scanned, or all."""
        last = None if is_end else scanned[-1].endpoint_id
        for known in (self._due, self._waiting):
            for name in [name for name in known if name > self.cursor and (last is None or name <= last)]:
                del known[name]
        for endpoint in scanned:
            if endpoint.due_at <= now:
                is_waiting = endpoint.free_at is not None and now < endpoint.free_at <= now + LONGEST_WAIT
                known = self._waiting if is_waiting else self._due
                known[endpoint.endpoint_id] = endpoint
        self.cursor, self.has_more = last or "", last is not None

    def claimable(self, now: datetime) -> dict[str, DueEndpoint]:
        """Return the endpoints from which deliveries may be claimed now, by id."""
        free = [name for name, each in self._waiting.items() if each.free_at and each.free_at <= now]
        for name in free:
            self._due[name] = self._waiting.pop(name)
        return self._due

    def note_claims(self, quotas: Mapping[str, int], claimed: list[ClaimedDelivery]) -> None:
        """Forget the endpoints of which fewer deliveries were claimed than the quota: nothing more is due."""
        counts = Counter(each.endpoint_id for each in claimed)
        for name, quota in quotas.items():
            if counts[name] < quota:
                self._due.pop(name, None)

    def set_aside(self, free_at: Mapping[str, datetime]) -> None:
        """Set endpoints aside until the moments at which deliveries may be claimed from them again."""
        for name, moment in free_at.items():
            if endpoint := self._due.pop(name, None):
                self._waiting[name] = endpoint._replace(free_at=moment)
