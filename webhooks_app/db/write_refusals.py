"""Why the database takes no writes, though it answers, as one process has met it of late."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from webhooks_app.db.transient_errors import Cause, cause_of

# What stays until somebody does something about it. Others pass, or keep reads from being answered, too.
_LASTING = frozenset({Cause.DISK_FULL, Cause.IO_ERROR, Cause.READ_ONLY})
# Where the disk is full, many writes still find room in the pages that are there, and so say nothing of it:
# it is over when nothing was refused for so long. Each process writes its report more often than that.
_FRESH_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """`began` and `latest` are moments of the clock that the memory was given, in seconds."""

    cause: Cause
    began: float
    latest: float


class WriteRefusals:
    """One per process, shared by its threads; the last report counts."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refusal: Refusal | None = None

    def note(self, error: BaseException) -> None:
        """Note why a write failed, if that means that other writes will fail in the same way."""
        cause = cause_of(error)
        if cause not in _LASTING:
            return
        now, known = self._clock(), self._current()
        if known is not None and known.cause is cause:
            self._refusal = replace(known, latest=now)
        else:
            self._refusal = Refusal(cause, now, now)

    def note_success(self) -> None:
        """Note that a write succeeded, which does not prove that a full disk has room again."""
        if self._refusal is not None and self._refusal.cause is Cause.READ_ONLY:
            self._refusal = None

    def lasting(self) -> tuple[Cause, float] | None:
        """Return why writes are refused and for how many seconds they have been; None where they are not."""
        known = self._current()
        return None if known is None else (known.cause, self._clock() - known.began)

    def report(self) -> dict[str, Any]:
        """Return what the process reports of itself: `lasting`, as JSON."""
        cause, seconds = self.lasting() or (None, None)
        return {"database": cause, "database_seconds": seconds}

    def _current(self) -> Refusal | None:
        known = self._refusal
        return known if known is not None and self._clock() - known.latest < _FRESH_SECONDS else None
