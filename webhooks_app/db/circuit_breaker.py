"""Whether it is worth waiting for the database, so that one which is silent does not take every thread along.

See "Circuit Breaker" in Michael Nygard's "Release It!". This one has a second rule: while nearly all threads
wait and none is answered, nobody joins them, as the rest are for what needs no database.
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
    that one may take. `crowd`: how many may wait while nobody was answered for `quiet_seconds`.
    """

    crowd: int
    pause_seconds: float = 1.0
    trial_seconds: float = 5.0
    # A migration that waits for a table's lock has others wait for less; see MigrationLimits.
    quiet_seconds: float = 1.0


class CircuitBreaker:
    """One per engine, shared by its threads."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._waiting = 0
        self._quiet_since = 0.0
        self._closed_until: float | None = None  # None while the database answers

    @property
    def is_silent(self) -> bool:
        """Whether the database was silent when it was last waited for."""
        return self._closed_until is not None

    def admit(self) -> None:
        """Return if a new piece of work may wait for the database. Raises NotWorthWaiting."""
        with self._lock:
            now = time.monotonic()
            if self._closed_until is not None:
                if now < self._closed_until:
                    raise NotWorthWaiting("The database did not answer a moment ago.")
                self._closed_until = now + self._limits.trial_seconds  # the others go on being refused
            elif self._waiting >= self._limits.crowd and now - self._quiet_since > self._limits.quiet_seconds:
                raise NotWorthWaiting("Too many wait for the database.")

    def begin_wait(self) -> None:
        """Note that a thread waits; to be followed by `end_wait`."""
        with self._lock:
            if not self._waiting:
                self._quiet_since = time.monotonic()
            self._waiting += 1

    def end_wait(self, *, was_answered: bool, was_silent: bool) -> None:
        """Note how a thread's wait ended: by an answer, by silence, or by an error that came at once."""
        with self._lock:
            self._waiting -= 1
            self._quiet_since = time.monotonic()
            if was_answered:
                self._closed_until = None
            elif was_silent or self._closed_until is not None:
                self._closed_until = time.monotonic() + self._limits.pause_seconds
