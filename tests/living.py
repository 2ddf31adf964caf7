"""Whether a process lives, which may end between any two questions about it."""

from contextlib import suppress

import psutil


def is_alive(pid: int) -> bool:
    """Return whether it is there, and no zombie that waits for whoever adopted it."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
