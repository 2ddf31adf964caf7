"""How many requests an endpoint may have in flight, and who gets the slots that are free. Pure.

A window grows with each success and is halved by each sign of overload (AIMD), so a dead endpoint ends up
with one request at a time. Free slots go to whoever has least in flight. And endpoints that gave no answer
the last time share half of the slots, together with those not yet heard of three quarters: any number of
hanging ones leaves the rest to those that answer, and a new one need not wait until they have timed out.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count

START = 16
LARGEST = 256
SMALLEST = 1
FAILING_SHARE = 0.5
UNPROVEN_SHARE = 0.75

# The map is emptied of idle windows past this; 10,000 take about 2 MB.
_MANY = 10_000


class ObservedHealth(Enum):
    """What this process knows of an endpoint: nothing yet, or how it fared last."""

    NEW = auto()
    PROVEN = auto()
    FAILING = auto()


@dataclass(slots=True)
class EndpointConcurrency:
    size: float = START
    in_flight: int = 0
    standing: ObservedHealth = ObservedHealth.NEW
    served_at: int = 0

    @property
    def room(self) -> int:
        room = int(self.size) - self.in_flight
        return room if room > 0 else 0


@dataclass(slots=True)
class Concurrency:
    """The windows of one process, by endpoint id; `capacity` is its number of slots."""

    capacity: int
    _windows: dict[str, EndpointConcurrency] = field(default_factory=dict)
    _in_flight: "Counter[ObservedHealth]" = field(default_factory=Counter)
    _turns: "count[int]" = field(default_factory=lambda: count(1))

    def of(self, endpoint_id: str) -> EndpointConcurrency:
        window = self._windows.get(endpoint_id)
        if window is None:
            window = self._windows[endpoint_id] = EndpointConcurrency()
        return window

    def have_room(self, endpoint_ids: Iterable[str], wanted: int) -> bool:
        """Whether the endpoints can take so many more between them."""
        for endpoint_id in endpoint_ids:
            wanted -= self.of(endpoint_id).room
            if wanted <= 0:
                return True
        return False

    def rooms(self, endpoint_ids: Iterable[str], free: int) -> dict[str, int]:
        """How many deliveries to claim of each endpoint that has any due, `free` in all.

        First each is filled up to an equal share, the one with least in flight and longest unserved first;
        then what is left goes round. Grants are powers of two, so that a claim has few distinct sizes.
        """
        failing_free = max(1, int(self.capacity * FAILING_SHARE)) - self._in_flight[ObservedHealth.FAILING]
        unproven_free = max(1, int(self.capacity * UNPROVEN_SHARE))
        unproven_free -= self._in_flight[ObservedHealth.FAILING] + self._in_flight[ObservedHealth.NEW]
        wanting = [(name, window) for name in endpoint_ids if (window := self.of(name)).room > 0]
        wanting.sort(key=lambda item: (item[1].in_flight, item[1].served_at))
        if not wanting:
            return {}
        level = max(1, (free + sum(window.in_flight for _, window in wanting)) // len(wanting))
        rooms: dict[str, int] = {}
        for target in (level, LARGEST):
            for name, window in wanting:
                if free <= 0:
                    return rooms
                had = rooms.get(name, 0)
                pool = free
                if window.standing is not ObservedHealth.PROVEN:
                    pool = min(pool, unproven_free)
                if window.standing is ObservedHealth.FAILING:
                    pool = min(pool, failing_free)
                granted = _power_of_two(min(had + pool, window.room, target - window.in_flight))
                if granted <= had:
                    continue
                rooms[name] = granted
                free -= granted - had
                unproven_free -= granted - had if window.standing is not ObservedHealth.PROVEN else 0
                failing_free -= granted - had if window.standing is ObservedHealth.FAILING else 0
        return rooms

    def sent(self, endpoint_id: str) -> None:
        window = self.of(endpoint_id)
        window.in_flight += 1
        window.served_at = next(self._turns)
        self._in_flight[window.standing] += 1

    def answered(self, endpoint_id: str, *, healthy: bool, mute: bool = False) -> None:
        """`healthy`: it can bear its window. `mute`: nothing came back, for as long as that took."""
        window = self.of(endpoint_id)
        self._in_flight[window.standing] -= window.in_flight
        window.in_flight -= 1
        window.standing = ObservedHealth.FAILING if mute else ObservedHealth.PROVEN
        self._in_flight[window.standing] += window.in_flight
        if healthy:
            window.size = min(LARGEST, window.size + 1)
        else:
            window.size = max(SMALLEST, window.size / 2)

    def forget_idle(self) -> None:
        """Drops what has nothing in flight when there are very many; for between two runs."""
        if len(self._windows) > _MANY:
            self._windows = {name: window for name, window in self._windows.items() if window.in_flight}


def _power_of_two(number: int) -> int:
    """The largest one that is no larger; 0 for what is below 1."""
    return 1 << (number.bit_length() - 1) if number > 0 else 0
