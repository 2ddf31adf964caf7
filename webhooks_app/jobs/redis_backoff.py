"""A pause after an error of Redis, and one line in the log when it begins and one when it ends."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from webhooks_app.jobs import redis_check, redis_diagnosis
from webhooks_app.jobs.redis_diagnosis import RedisProblem

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisBackoffLimits:
    """How long a process leaves a failing Redis alone; the time doubles up to the longest.

    A Redis that fails again within `calm_seconds` of recovering keeps the longer pauses, and is logged again
    only if the failure lasts.
    """

    first_seconds: float = 0.25
    longest_seconds: float = 5.0
    calm_seconds: float = 60.0


class RedisBackoff:
    """Calls what needs Redis, unless Redis failed a moment ago.

    After a failure nothing is called until every command that is needed works: a replica answers what only
    reads, and a full Redis what frees memory.
    """

    def __init__(self, redis: Redis, limits: RedisBackoffLimits | None = None) -> None:
        self.redis = redis
        self._limits = limits or RedisBackoffLimits()
        self._problem: RedisProblem | None = None
        self._is_shown = False
        self._paused_until = self._began_at = self._worked_at = self._shown_at = -math.inf
        self._pause_seconds = self._limits.first_seconds
        self._lock = threading.Lock()

    @property
    def seconds_left(self) -> float:
        """How long to wait before the next call can be of use."""
        return max(0.0, self._paused_until - time.monotonic()) if self._problem else 0.0

    @property
    def is_failing(self) -> bool:
        return self._problem is not None

    @property
    def problem_text(self) -> str | None:
        """What was the matter when Redis was last needed; None if it worked. Asks nobody."""
        problem = self._problem
        return problem.text if problem else None

    @property
    def failing_seconds(self) -> float | None:
        """For how long Redis has failed; None if it works."""
        return time.monotonic() - self._began_at if self._problem else None

    def run(self, act: Callable[[], object]) -> bool:
        """Call `act` unless Redis fails; return whether it was called and Redis answered."""

        def act_and_tell() -> bool:
            act()
            return True

        return self.ask(act_and_tell, otherwise=False)

    def ask(self, act: Callable[[], T], *, otherwise: T) -> T:
        """Return what `act` returns, or `otherwise` where Redis fails."""
        if self._problem is not None and self.find_problem() is not None:
            return otherwise
        try:
            return act()
        except RedisError as error:
            with self._lock:
                self._note(self._explain(error))
            return otherwise

    def find_problem(self) -> RedisProblem | None:
        """Return what is the matter now, as it was found during this pause or else is found by asking."""
        if self._problem is not None and time.monotonic() < self._paused_until:
            return self._problem
        if not self._lock.acquire(blocking=False):  # another thread asks
            return self._problem
        try:
            self._note(redis_check.find_problem(self.redis))
            return self._problem
        finally:
            self._lock.release()

    def _explain(self, error: RedisError) -> RedisProblem:
        """Where Redis refused something, have the check say all that it refuses."""
        found = redis_check.find_problem(self.redis) if isinstance(error, ResponseError) else None
        return found or redis_diagnosis.diagnose(error)

    def _note(self, problem: RedisProblem | None) -> None:
        now = time.monotonic()
        if problem is None:
            self._end(now)
            return
        is_new, self._problem = self._problem is None, problem
        if is_new:
            self._began_at = now
        is_calm = now > self._worked_at + self._limits.calm_seconds
        if is_new and is_calm:
            self._pause_seconds = self._limits.first_seconds
        self._paused_until = now + self._pause_seconds
        self._pause_seconds = min(self._limits.longest_seconds, 2 * self._pause_seconds)
        if not self._is_shown and (not is_new or now > self._shown_at + self._limits.calm_seconds):
            self._is_shown, self._shown_at = True, now
            log.warning("redis_unavailable", extra={"problem": problem.text})

    def _end(self, now: float) -> None:
        if self._problem is None:
            return
        self._problem, self._worked_at = None, now
        if self._is_shown:
            self._is_shown = False
            log.warning("redis_available", extra={"after_seconds": round(now - self._began_at, 1)})
