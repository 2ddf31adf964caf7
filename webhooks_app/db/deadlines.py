"""Until when a request may keep asking the database, however many statements it makes.

Each wait has a limit of its own; many slow ones in a row would still outlast the caller. A deadline holds in
the block that sets it, in its thread, and for whatever the block calls.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float | None, *, renewed: bool = False) -> Iterator[None]:
    """Set a deadline, unless an earlier one holds; None sets none.

    `renewed`: ignore an earlier deadline, as for what has to be done even once that is over.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    earlier = None if renewed else _ends_at.get()
    both = [each for each in (ends_at, earlier) if each is not None]
    token = _ends_at.set(min(both, default=None))
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining() -> float | None:
    """Return the seconds that are left, zero or negative once it is over; None without a deadline."""
    ends_at = _ends_at.get()
    return None if ends_at is None else ends_at - time.monotonic()


def is_over() -> bool:
    """Return whether a deadline has passed."""
    left = remaining()
    return left is not None and left <= 0


def shorten(seconds: float | None) -> float | None:
    """Return `seconds` (None: for ever), or what is left of the deadline if that is less; never negative."""
    left = remaining()
    if left is None:
        return seconds
    return max(0.0, left if seconds is None else min(seconds, left))
