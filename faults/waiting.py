"""Waiting for a state of the platform under test, always with a limit."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


class WaitTimeout(Exception):
    """A state that a scenario waited for was not reached within its limit."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until `condition()` is true and return how many seconds it took.

    Raises WaitTimeout after `seconds`; `what` names the awaited state in its message.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise WaitTimeout(f"{what}: not within {seconds:g} seconds")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began
