"""How long what says in Redis that a wake-up is under way lasts, and how long Redis may take. Pure.

Handed in, so that a test can wait for longer or less.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeLimits:
    # A lost job leaves the flag set for no longer than this; the sweep finds what waited meanwhile.
    flag_ttl_seconds: int = 5
    # A run renews its mark after half of it. While one that died is marked, no wake-up enqueues a job.
    awake_seconds: int = 2
    # A web request must not wait for a Redis that hangs; after an error, the next ones do not wait at all.
    answer_seconds: float = 0.25
    # For the answer to a wait that ends without news: a thread waits for it, and nobody for the thread.
    patience_seconds: float = 1.0


DEFAULT_LIMITS = WakeLimits()
