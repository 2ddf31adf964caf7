"""Whether it is worth waiting for the database, so that one which is silent does not occupy every thread.

See "Circuit Breaker" and "Bulkheads" in Michael Nygard's "Release It!". The second is there because the first
needs a wait to end: while most threads wait, any more wait for a short time only, and not at all once nobody
was answered for as long. So the rest of the threads are soon free for what needs no database.
"""

import threading
import time
from dataclasses import dataclass


class NotWorthWaiting(Exception):
    """The database was silent a moment ago, or keeps too many waiting."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When nobody waits for the database any more.

    `pause_seconds`: how long after it was silent, until one caller tries again; `trial_seconds`: how long
    that one may take. `most_waiting`: how many may wait for as long as it takes; any more wait for
    `excess_wait_seconds`, and not at all once nobody was answered for as long.
    """

    most_waiting: int
    pause_seconds: float = 1.0
    trial_seconds: float = 5.0
    # A migration that waits for a table's lock has others wait for less, unless a vacuum is in its way;
    # see MigrationLimits.
    excess_wait_seconds: float = 1.0


class CircuitBreaker:
    """One per engine, shared by its threads."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._waiting = 0
        self._quiet_since = self._answered_at = 0.0
        self._open_until: float | None = None  # None while the breaker is closed: the database answers

    @property
    def is_silent(self) -> bool:
        """Whether the database was silent when it was last waited for."""
        return self._open_until is not None

    def admit(self) -> float | None:
        """Return for how many seconds a new piece of work may wait for its first answer; None: as usual.

        Raises NotWorthWaiting.
        """
        with self._lock:
            now = time.monotonic()
            if self._open_until is not None:
                if now < self._open_until:
                    raise NotWorthWaiting("The database did not answer a moment ago.")
                self._open_until = now + self._limits.trial_seconds  # the others go on being refused
            elif self._waiting >= self._limits.most_waiting:
                if now - self._quiet_since > self._limits.excess_wait_seconds:
                    raise NotWorthWaiting("Too many wait for the database.")
                return self._limits.excess_wait_seconds
            return None

    def begin_wait(self) -> None:
        """Note that a thread waits; to be followed by `end_wait`."""
        with self._lock:
            if not self._waiting:
                self._quiet_since = time.monotonic()
            self._waiting += 1

    def end_wait(self, *, was_answered: bool, was_silent: bool) -> None:
        """Note how a thread's wait ended: by an answer, by silence, or by an error that came at once.

        While others are answered, one that is not has met a slow statement or a lost connection.
        """
        with self._lock:
            self._waiting -= 1
            now = time.monotonic()
            if was_answered:
                self._quiet_since = self._answered_at = now
                self._open_until = None
            elif self._open_until is not None or (
                was_silent and now - self._answered_at > self._limits.excess_wait_seconds
            ):
                self._open_until = now + self._limits.pause_seconds
