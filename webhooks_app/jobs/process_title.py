"""What `ps` and `top` call a process that was forked, which would otherwise show its parent's name."""

import ctypes
from contextlib import suppress
from pathlib import Path

_STAT, _NAME = Path("/proc/self/stat"), Path("/proc/self/comm")
# Of the fields behind the name, which is in brackets: `arg_start` and `arg_end` of proc_pid_stat(5).
_ARGUMENTS = slice(45, 47)


def set_title(title: str) -> None:
    """Show the title in place of the arguments, as far as it fits there, and of the program's name.

    Where the system does not let it, nothing happens: nothing depends on it.
    """
    with suppress(OSError, ValueError):
        _NAME.write_text(title.replace(" ", "-"))
        start, end = map(int, _STAT.read_text().rpartition(")")[2].split()[_ARGUMENTS])
        if 0 < start < end:
            _overwrite(start, end - start, title.encode())


def _overwrite(start: int, length: int, title: bytes) -> None:
    """Write where the kernel has laid the arguments, of which Python and its C library keep copies.

    The last byte stays zero, or else the kernel would show the environment behind it as well.
    """
    ctypes.memmove(start, title[: length - 1].ljust(length, b"\0"), length)
