"""Public ids: a prefix that names the kind, then 26 characters that sort by time.

The characters are base32hex (RFC 4648, section 7: its alphabet keeps the byte order) in lower case of
48 bits of Unix milliseconds and 80 bits of tail, the layout of a ULID. The first tail of a millisecond is
random; each further one that a process makes in it lies a random step above, so that ids of one process
sort in the order in which they were made.
"""

import os
import threading
import time
from base64 import b32hexdecode, b32hexencode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate

_LENGTH = 26
_TAIL_BITS = 80
_FIRST_BYTES = 9  # leaves the topmost of a tail's ten for the steps: room for some 2³³ ids a millisecond
_STEP_BYTES = 6
_GENERATION_DIGITS = 4  # what an attempt's id has behind its delivery's
# What stands for an API token in documents and examples.
PLACEHOLDER_TOKEN = "tok_…"


def new(prefix: str) -> str:
    return several(prefix, 1)[0]


def several(prefix: str, count: int) -> list[str]:
    """Return `count` fresh ids of one moment, in ascending order, above all that this process made in it."""
    # Filled up to whole groups of base32, so that all are encoded by one call.
    raw = b"".join([each.to_bytes(16, "big") + bytes(4) for each in _CLOCK.tick(count)])
    encoded = b32hexencode(raw).decode().lower()
    return [f"{prefix}_{encoded[start : start + _LENGTH]}" for start in range(0, 32 * count, 32)]


def floor(prefix: str, moment: datetime) -> str:
    """Return the smallest id that `moment` could have got; a bound for ranges over time."""
    return _encode(prefix, max(0, int(moment.timestamp() * 1000)), bytes(10))


def created_at(public_id: str) -> datetime:
    """Return when the id was made, to the millisecond. Raises ValueError for what is not an id."""
    encoded = public_id.rpartition("_")[2]
    if len(encoded) != _LENGTH or not encoded.isascii():
        raise ValueError(f"not an id: {public_id!r}")
    raw = b32hexdecode(encoded.upper() + "======")
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int.from_bytes(raw[:6], "big"))
    except OverflowError:
        raise ValueError(f"not an id, as its time is out of range: {public_id!r}") from None


def is_id(prefix: str, text: str) -> bool:
    """Return whether `new(prefix)` could have made it: one spelling each, nothing else."""
    found, _, encoded = text.partition("_")
    try:
        created_at(text)
        raw = b32hexdecode(encoded.upper() + "======")
    except ValueError:
        return False
    return found == prefix and text == _spell(prefix, raw)


def attempt_id(delivery_id: str, generation: int) -> str:
    """Return an attempt's id, which sorts by the delivery's time, then by the attempt's turn."""
    return f"att_{delivery_id.removeprefix('dlv_')}{generation:0{_GENERATION_DIGITS}d}"


def delivery_id_of(attempt_id: str) -> str:
    """Return the id of the attempt's delivery."""
    return "dlv_" + attempt_id.removeprefix("att_")[:-_GENERATION_DIGITS]


class _Clock:
    """What the ids of a process are made of, as numbers of 128 bits; may be asked from any thread."""

    def __init__(self) -> None:
        self.restart()
        os.register_at_fork(after_in_child=self.restart)  # what another thread held stays held in a child

    def restart(self) -> None:
        self._newest = 0
        self._lock = threading.Lock()

    def tick(self, count: int) -> list[int]:
        """Return `count` ascending numbers of one millisecond, each a random step above the one before."""
        randomness = os.urandom(_FIRST_BYTES + _STEP_BYTES * count)
        with self._lock:
            milliseconds = time.time_ns() // 1_000_000
            if milliseconds != self._newest >> _TAIL_BITS:  # a clock that was put back starts anew, too
                self._newest = milliseconds << _TAIL_BITS | int.from_bytes(randomness[:_FIRST_BYTES], "big")
            made = list(accumulate(_steps(randomness[_FIRST_BYTES:]), initial=self._newest))[1:]
            self._newest = made[-1] if made else self._newest
        return made


def _steps(randomness: bytes) -> Iterator[int]:
    for start in range(0, len(randomness), _STEP_BYTES):
        yield 1 + int.from_bytes(randomness[start : start + _STEP_BYTES], "big")


_CLOCK = _Clock()


def _encode(prefix: str, milliseconds: int, tail: bytes) -> str:
    return _spell(prefix, milliseconds.to_bytes(6, "big") + tail)


def _spell(prefix: str, raw: bytes) -> str:
    return f"{prefix}_{b32hexencode(raw)[:_LENGTH].decode().lower()}"
