"""Look up host names beside the delivery loop, so that one that never answers holds up nobody.

The system's resolver is asked here, instead of by libcurl, because libcurl shows one address per socket: only
the whole answer tells that one of several addresses is forbidden.
"""

import math
import time

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.name_lookup import LookupResult, ResultQueue, start_lookup
from webhooks_app.transport.sender_limits import ResolverLimits


class Resolver:
    """Cache results of look-ups, and bound how many run at once.

    Belongs to one thread, which waits on `fileno` together with its other descriptors. There is no queue: a
    request that still needs a name asks for it again.
    """

    def __init__(self, limits: ResolverLimits) -> None:
        self._limits = limits
        self._cache: dict[str, LookupResult] = {}
        self._started_at: dict[str, float] = {}  # of each running look-up, the oldest first
        self._slow_started_at: dict[str, float] = {}  # the same, of names that are slow
        self._slow_names: set[str] = set()
        self._results = ResultQueue()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a result has come."""
        return self._results.fileno()

    def resolve(self, name: str, *, waited_seconds: float = 0.0) -> LookupResult | None:
        """Return the result while it is fresh, or an aged one where a newer one does not come soon.

        Otherwise start a look-up as soon as a thread is free, and return None: ask again after
        `take_results`, or after `refresh_seconds`. `waited_seconds` is what that took so far, in seconds.
        """
        result, now = self._cache.get(name), time.monotonic()
        age = now - result.arrived_at if result else math.inf
        if age < self._limits.fresh_seconds:
            return result
        is_running = self._ensure_lookup(name, now)
        is_late = waited_seconds >= self._limits.refresh_seconds or not is_running or name in self._slow_names
        return result if is_late and age < self._limits.usable_seconds else None

    def explain_timeout(self, name: str, *, since: float, timeout_seconds: float) -> tuple[OutcomeClass, str]:
        """Return the class of a time-out that came before `name` was resolved, and what was waited for.

        The name servers are to blame if they had half of the time, `since` being when the request began.
        """
        started_at = self._started_at.get(name) or self._slow_started_at.get(name) or math.inf
        if started_at - since < timeout_seconds / 2:
            return OutcomeClass.TIMEOUT, f"the name servers of {name} did not answer"
        if name in self._slow_names:
            stage = f"the name servers of {name} were slow before, so it waits its turn among such names"
            return OutcomeClass.TIMEOUT, stage
        stage = f"{name} was not looked up in time, as other names kept this platform waiting"
        return OutcomeClass.PLATFORM, stage

    def take_results(self) -> dict[str, LookupResult]:
        """Return the results that came since the last call, by name."""
        arrived = {result.name: self._cache_result(result) for result in self._results.take_all()}
        for names in (self._cache, self._slow_names):
            if len(names) > self._limits.cached_names:
                names.clear()
        return arrived

    def close(self) -> None:
        """Stop listening. A look-up that still runs ends in its daemon thread, and its result is dropped."""
        self._results.close()

    def _cache_result(self, result: LookupResult) -> LookupResult:
        started_at = self._started_at.pop(result.name, 0.0) or self._slow_started_at.pop(result.name)
        if result.arrived_at - started_at >= self._limits.slow_after_seconds:
            self._slow_names.add(result.name)
        elif not result.is_temporary:
            self._slow_names.discard(result.name)
        earlier = self._cache.get(result.name)
        age = result.arrived_at - earlier.arrived_at if earlier else math.inf
        if earlier and result.is_temporary and age < self._limits.usable_seconds:
            return earlier
        self._cache.pop(result.name, None)
        if result.addresses:
            self._cache[result.name] = result
        return result

    def _ensure_lookup(self, name: str, now: float) -> bool:
        """Start a look-up where none runs; return False where all threads are taken."""
        self._set_slow_lookups_apart(now)
        if name in self._started_at or name in self._slow_started_at:
            return True
        if not self._has_free_thread(name):
            return False
        running = self._slow_started_at if name in self._slow_names else self._started_at
        running[name] = now
        start_lookup(name, self._results)
        return True

    def _set_slow_lookups_apart(self, now: float) -> None:
        """Make room among the ordinary look-ups for other names."""
        while self._started_at:
            name, started_at = next(iter(self._started_at.items()))
            if now - started_at < self._limits.slow_after_seconds:
                return
            self._slow_started_at[name] = self._started_at.pop(name)
            self._slow_names.add(name)

    def _has_free_thread(self, name: str) -> bool:
        ordinary, slow = len(self._started_at), len(self._slow_started_at)
        if name in self._slow_names:
            return slow < self._limits.slow_lookups_at_once
        return ordinary < self._limits.lookups_at_once and ordinary + slow < self._limits.threads
