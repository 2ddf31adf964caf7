"""How many events an API token may send: so many a second, and so many at once after a pause. Pure."""

import math
from dataclasses import dataclass
from typing import Self

FASTEST_RATE = 100_000
LARGEST_BURST = 1_000_000
# The default burst, in seconds of the rate: a producer that was silent for this long may catch up at once.
BURST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: `burst` events fit into it, and `per_second` come back."""

    per_second: int
    burst: int

    @classmethod
    def of(cls, per_second: int | None, burst: int | None) -> Self | None:
        """Return the limit, None without a rate; without a burst, that of some seconds."""
        if per_second is None:
            return None
        return cls(per_second, burst or min(per_second * BURST_SECONDS, LARGEST_BURST))

    @property
    def window_seconds(self) -> int:
        """How long an empty bucket takes to fill, in whole seconds."""
        return math.ceil(self.burst / self.per_second)

    def seconds_until(self, count: int, left: float) -> int:
        """Return in how many whole seconds `count` events fit, if `left` of them fit now; 0 means at once."""
        return max(0, math.ceil((count - left) / self.per_second))

    def __str__(self) -> str:
        return f"{self.per_second:,} events a second, {self.burst:,} at once"
