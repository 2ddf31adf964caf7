"""What this process knows of the endpoints that have something due. No I/O.

A look at the database steps over every endpoint that has pending deliveries, so it is made when there may be
news; between two looks claims take from what the last one found.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from webhooks_app.worker.claims import Claim, DueEndpoint
from webhooks_app.worker.rate_limits import FARTHEST


class DueEndpoints:
    def __init__(self) -> None:
        self._due: dict[str, DueEndpoint] = {}
        self._waiting: dict[str, DueEndpoint] = {}  # until their rate limits or pauses let them go
        self.cursor = ""
        self.has_more = False

    def __bool__(self) -> bool:
        """Whether something is due, now or as soon as a rate limit or a pause lets it go."""
        return bool(self._due or self._waiting or self.has_more)

    def saw(self, lanes: list[DueEndpoint], *, is_end: bool, now: datetime) -> None:
        """Replaces what was known of the endpoints behind the cursor, up to the last of `lanes` or all."""
        last = None if is_end else lanes[-1].endpoint_id
        for known in (self._due, self._waiting):
            for name in [name for name in known if name > self.cursor and (last is None or name <= last)]:
                del known[name]
        for lane in lanes:
            if lane.due_at <= now:
                is_waiting = lane.free_at is not None and now < lane.free_at <= now + FARTHEST
                known = self._waiting if is_waiting else self._due
                known[lane.endpoint_id] = lane
        self.cursor, self.has_more = last or "", last is not None

    def due(self, now: datetime) -> dict[str, DueEndpoint]:
        """Those that may be claimed of now."""
        for name in [name for name, lane in self._waiting.items() if lane.free_at and lane.free_at <= now]:
            self._due[name] = self._waiting.pop(name)
        return self._due

    def claimed(self, rooms: Mapping[str, int], taken: list[Claim]) -> None:
        """`rooms` is what was asked for: who gave less has no more."""
        got = Counter(claim.endpoint_id for claim in taken)
        for name, room in rooms.items():
            if got[name] < room:
                self._due.pop(name, None)

    def wait(self, free_at: Mapping[str, datetime]) -> None:
        """Sets endpoints aside until the moments at which they may be claimed of again."""
        for name, moment in free_at.items():
            if lane := self._due.pop(name, None):
                self._waiting[name] = lane._replace(free_at=moment)
