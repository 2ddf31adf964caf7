"""Waiting for a state instead of a time, with a generous end."""

import threading
import time
from collections.abc import Callable


def has_thread(prefix: str) -> bool:
    """Return whether a thread runs in this process whose name begins so."""
    return any(each.name.startswith(prefix) for each in threading.enumerate())


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    started_at = time.monotonic()
    while not condition():
        waited = time.monotonic() - started_at
        assert waited < seconds, "it did not happen in time"
        # The less often the longer it takes, as asking takes processor time from what is waited for.
        time.sleep(min(max(0.02, waited / 10), 0.25))


def wait_for_a_long_rest_of_the_bin() -> None:
    """Wait until charts begin no new bar within half a minute: they have one for every five minutes."""
    wait_for(lambda: time.time() % 300 < 270)
