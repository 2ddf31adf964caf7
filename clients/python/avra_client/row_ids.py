"""Ids of outbox rows: unique everywhere, and in the order in which a process makes them.

They are UUIDs of version 7 (RFC 9562, section 5.7) whose 12 bits behind the version count within a
millisecond (section 6.2, method 1), so that an index on them grows at its end.
"""

import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def new() -> str:
    """Return an id that is greater than any that this process made before."""
    global _last
    with _lock:
        # Milliseconds and a count; it runs ahead where 4,096 are spent, or the clock was set back.
        _last = max(_last + 1, time.time_ns() // 1_000_000 << 12)
        moment, count = _last >> 12, _last & 0xFFF
    number = moment << 80 | 0x7 << 76 | count << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))
