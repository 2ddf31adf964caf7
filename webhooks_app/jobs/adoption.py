"""What Linux lets a process ask for about its parent and its descendants: prctl(2)."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> bool:
    """Have descendants whose parent ends become children of this process; return whether the system does."""
    return sys.platform == "linux" and _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have this process killed when its parent ends, which has a single thread; its own children go on."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    unused = [ctypes.c_ulong(0)] * 3
    return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *unused) == 0)
