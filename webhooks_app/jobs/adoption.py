"""What Linux lets a process ask for about its parent and its descendants: prctl(2), proc(5)."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> bool:
    """Have descendants whose parent ends become children of this process; return whether the system does."""
    return sys.platform == "linux" and _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """Have this process killed when its parent ends, which has a single thread; its own children go on."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def children() -> set[int]:
    """Return the ids of this process's children, also of those that have ended and were not collected."""
    mine = os.getpid()
    return {pid for pid, parent in _parents() if parent == mine}


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                after_name = (folder / "stat").read_text(errors="replace").rpartition(")")[2]
                yield int(folder.name), int(after_name.split()[1])


def _prctl(option: int, value: int) -> bool:
    unused = [ctypes.c_ulong(0)] * 3
    return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *unused) == 0)
