"""Public ids: a prefix that names the kind, then 26 characters that sort by time.

The characters are base32hex (RFC 4648, section 7: its alphabet keeps the byte order) in lower case of
48 bits of Unix milliseconds and 80 random bits, the layout of a ULID.
"""

import os
import time
from base64 import b32hexdecode, b32hexencode
from datetime import UTC, datetime, timedelta

_LENGTH = 26
_GENERATION_DIGITS = 4  # what an attempt's id has behind its delivery's


def new(prefix: str) -> str:
    return _encode(prefix, time.time_ns() // 1_000_000, os.urandom(10))


def several(prefix: str, count: int) -> list[str]:
    """Return `count` fresh ids of one moment, in ascending order."""
    head, tails = (time.time_ns() // 1_000_000).to_bytes(6, "big"), os.urandom(10 * count)
    # Filled up to whole groups of base32, so that all are encoded by one call.
    raw = b"".join(head + tails[start : start + 10] + bytes(4) for start in range(0, 10 * count, 10))
    encoded = b32hexencode(raw).decode().lower()
    return sorted(f"{prefix}_{encoded[start : start + _LENGTH]}" for start in range(0, 32 * count, 32))


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
        raise ValueError(f"not an id of this age of the world: {public_id!r}") from None


def is_id(prefix: str, text: str) -> bool:
    """Tell whether `new(prefix)` could have made it: one spelling each, nothing else."""
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


def _encode(prefix: str, milliseconds: int, tail: bytes) -> str:
    return _spell(prefix, milliseconds.to_bytes(6, "big") + tail)


def _spell(prefix: str, raw: bytes) -> str:
    return f"{prefix}_{b32hexencode(raw)[:_LENGTH].decode().lower()}"
