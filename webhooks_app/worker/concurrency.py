"""How many requests an endpoint may have in flight, and who gets the slots that are free. Pure.

An endpoint's limit grows with each success and is halved by each sign of overload (additive increase,
multiplicative decrease), so a dead endpoint ends up with one request at a time. Free slots go to the endpoint
with least in flight. Endpoints that did not answer the last time share half of the slots, and three quarters
together with those that this process has not sent to yet: however many do not answer, the rest is left to
those that do, and a new endpoint need not wait until the others have timed out.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count

from webhooks_app.worker.engine_limits import ConcurrencyLimits


class ObservedHealth(Enum):
    """What this process knows of an endpoint: nothing yet, or whether it answered the last time."""

    UNKNOWN = auto()
    RESPONDING = auto()
    UNRESPONSIVE = auto()


@dataclass(slots=True)
class EndpointConcurrency:
    """`limit` is a fraction after a halving; `last_turn` orders endpoints by when they were last sent to."""

    limit: float
    in_flight: int = 0
    health: ObservedHealth = ObservedHealth.UNKNOWN
    last_turn: int = 0

    @property
    def available(self) -> int:
        available = int(self.limit) - self.in_flight
        return available if available > 0 else 0


class _FreeSlots:
    """The slots that a claim may hand out: in all, to endpoints that are not known to respond, and to those
    known not to."""

    __slots__ = ("_responding", "_unresponsive", "all", "unproven", "unresponsive")

    def __init__(self, *, all_slots: int, unproven: int, unresponsive: int) -> None:
        self.all, self.unproven, self.unresponsive = all_slots, unproven, unresponsive
        # Looked up often, and an attribute of an Enum's class takes long to look up.
        self._responding, self._unresponsive = ObservedHealth.RESPONDING, ObservedHealth.UNRESPONSIVE

    def for_health(self, health: ObservedHealth) -> int:
        if health is self._responding:
            return self.all
        if health is self._unresponsive:
            return min(self.all, self.unproven, self.unresponsive)
        return min(self.all, self.unproven)

    def take(self, slots: int, health: ObservedHealth) -> None:
        self.all -= slots
        if health is not self._responding:
            self.unproven -= slots
        if health is self._unresponsive:
            self.unresponsive -= slots


class Concurrency:
    """The endpoints that one process sends to, by id; `capacity` is its number of slots."""

    def __init__(self, capacity: int, limits: ConcurrencyLimits) -> None:
        self.capacity = capacity
        self._limits = limits
        self._endpoints: dict[str, EndpointConcurrency] = {}
        self._in_flight: Counter[ObservedHealth] = Counter()
        self._turns = count(1)

    def of(self, endpoint_id: str) -> EndpointConcurrency:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None:
            endpoint = self._endpoints[endpoint_id] = EndpointConcurrency(self._limits.initial)
        return endpoint

    def can_take(self, endpoint_ids: Iterable[str], wanted: int) -> bool:
        """Return whether the endpoints together may have `wanted` more requests in flight."""
        for endpoint_id in endpoint_ids:
            wanted -= self.of(endpoint_id).available
            if wanted <= 0:
                return True
        return False

    def quotas(self, endpoint_ids: Iterable[str], free_slots: int) -> dict[str, int]:
        """Return how many deliveries to claim of each endpoint that has any due, `free_slots` in all.

        First each is filled up to an equal share, the one with least in flight that was sent to longest ago
        first; then what is left goes round. Quotas are powers of two, so that a claim has few distinct sizes.
        """
        takers = [(name, each) for name in endpoint_ids if (each := self.of(name)).available > 0]
        takers.sort(key=lambda taker: (taker[1].in_flight, taker[1].last_turn))
        if not takers:
            return {}
        equal_share = max(1, (free_slots + sum(each.in_flight for _, each in takers)) // len(takers))
        free = self._free(free_slots)
        quotas: dict[str, int] = {}
        for ceiling in (equal_share, self._limits.largest):
            _fill_up(quotas, takers, free, ceiling)
        return quotas

    def _free(self, free_slots: int) -> _FreeSlots:
        unresponsive = self._in_flight[ObservedHealth.UNRESPONSIVE]
        unproven = unresponsive + self._in_flight[ObservedHealth.UNKNOWN]
        return _FreeSlots(
            all_slots=free_slots,
            unproven=max(1, int(self.capacity * self._limits.unproven_share)) - unproven,
            unresponsive=max(1, int(self.capacity * self._limits.unresponsive_share)) - unresponsive,
        )

    def start_request(self, endpoint_id: str) -> None:
        endpoint = self.of(endpoint_id)
        endpoint.in_flight += 1
        endpoint.last_turn = next(self._turns)
        self._in_flight[endpoint.health] += 1

    def end_request(
        self, endpoint_id: str, *, is_overloaded: bool = False, is_unresponsive: bool = False
    ) -> None:
        """Count a request that has ended, and adapt the endpoint's limit.

        `is_overloaded`: the endpoint cannot bear its limit. `is_unresponsive`: nothing came back, and the
        request held its slot for as long as that took.
        """
        endpoint = self.of(endpoint_id)
        self._in_flight[endpoint.health] -= endpoint.in_flight
        endpoint.in_flight -= 1
        endpoint.health = ObservedHealth.UNRESPONSIVE if is_unresponsive else ObservedHealth.RESPONDING
        self._in_flight[endpoint.health] += endpoint.in_flight
        if is_overloaded:
            endpoint.limit = max(self._limits.smallest, endpoint.limit / 2)
        else:
            endpoint.limit = min(self._limits.largest, endpoint.limit + 1)

    def busiest(self, count: int) -> list[tuple[str, int, int]]:
        """Return the endpoints with most in flight: id, requests in flight, limit. For any thread."""
        sending = [(each.in_flight, name, int(each.limit)) for name, each in list(self._endpoints.items())]
        most = heapq.nlargest(count, (each for each in sending if each[0] > 0))
        return [(name, in_flight, limit) for in_flight, name, limit in most]

    def forget_idle(self) -> None:
        """Forget endpoints that have nothing in flight when there are very many. Called between runs."""
        if len(self._endpoints) > self._limits.remembered_endpoints:
            self._endpoints = {name: each for name, each in self._endpoints.items() if each.in_flight}


def _fill_up(
    quotas: dict[str, int], takers: list[tuple[str, EndpointConcurrency]], free: _FreeSlots, ceiling: int
) -> None:
    """Raise each endpoint's quota as far as `ceiling` in flight, its own limit and the free slots allow."""
    for name, endpoint in takers:
        if free.all <= 0:
            return
        had = quotas.get(name, 0)
        pool = had + free.for_health(endpoint.health)
        granted = _power_of_two(min(pool, endpoint.available, ceiling - endpoint.in_flight))
        if granted > had:
            quotas[name] = granted
            free.take(granted - had, endpoint.health)


def _power_of_two(number: int) -> int:
    """Return the largest power of two that is no larger; 0 for a number below 1."""
    return 1 << (number.bit_length() - 1) if number > 0 else 0
