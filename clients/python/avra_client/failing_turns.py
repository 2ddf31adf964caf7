"""How long a row that fails is given when it is sent again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from avra_client.claimed_rows import Claim
from avra_client.relay_state import RelayLimits

# Of the time that a relay spends, what such rows may have in long turns: one part in five.
_REST_FACTOR = 4
_MOST_KNOWN = 1000


class FailingTurns:
    """Short turns, as other rows wait meanwhile, and now and then a long one.

    A row may have failed for what is over, and then take long: a large body, a slow disk. In short turns
    alone it would never be sent. Each has a long turn once an hour, and all together a fifth of the time, as
    far as this relay remembers. One that only hands over what is due now remembers no turns of others before
    it: it is then the row that tells, which is sent once an hour when it has failed for one.
    """

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits
        self._long_from = 0.0
        self._row_long_from: dict[str, float] = {}
        self._is_long = self.is_one_of_many = False

    @contextmanager
    def seconds_to_send(self, claim: Claim) -> Iterator[float]:
        """Yield for how many seconds to send what was claimed, which is done in the block."""
        if not claim.is_of_failing:
            yield self._limits.send_seconds
            return
        began, [row] = time.monotonic(), claim.rows
        failing_seconds = time.time() - (row.failing_since or 0) / 1000
        yield self.begin(row.id, began, failing_seconds=failing_seconds)
        self.end(time.monotonic(), seconds=time.monotonic() - began)

    def begin(self, row_id: str, now: float, *, failing_seconds: float = 0.0) -> float:
        """Return for how many seconds to send the row, at this moment of time.monotonic()."""
        is_rare = failing_seconds >= self._limits.longest_failing_pause_seconds
        is_its_turn = now >= max(self._long_from, self._row_long_from.get(row_id, 0.0))
        self._is_long = is_its_turn and (is_rare or not self.is_one_of_many)
        if not self._is_long:
            return min(self._limits.failing_send_seconds, self._limits.send_seconds)
        if len(self._row_long_from) >= _MOST_KNOWN:
            self._row_long_from.clear()
        self._row_long_from[row_id] = now + self._limits.longest_failing_pause_seconds
        return self._limits.send_seconds

    def end(self, now: float, *, seconds: float) -> None:
        """Note that the turn took so long."""
        if self._is_long:
            self._long_from = now + _REST_FACTOR * seconds
