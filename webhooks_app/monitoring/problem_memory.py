"""Since when a process has found those problems that do not say of themselves since when they are."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode

_Key = tuple[ProblemCode, str]


class ProblemMemory:
    """One per process. A problem that is not found once is over; found again, it is another one."""

    def __init__(self) -> None:
        self._found_at: dict[_Key, datetime] = {}
        self._lock = threading.Lock()

    def with_since(self, found: Iterable[HealthProblem], *, now: datetime) -> list[HealthProblem]:
        """Return all that were found at `now`, each with since when it is, or has been found."""
        problems = list(found)
        undated = {_key(each) for each in problems if each.since is None}
        with self._lock:
            since = self._found_at = {key: self._found_at.get(key, now) for key in undated}
        return [each if each.since else replace(each, since=since[_key(each)]) for each in problems]


def _key(problem: HealthProblem) -> _Key:
    return problem.code, problem.detail
