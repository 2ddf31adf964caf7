"""Whether the code that a process has loaded is still what is on disk."""

import os
import sys
from contextlib import suppress


class LoadedCode:
    """Remembers the files of all that this process has loaded when this is made."""

    def __init__(self) -> None:
        found = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        self._states = {path: _state_of(path) for path in found if path}

    def is_current(self) -> bool:
        """Return whether none of the files has been changed or removed since; takes some milliseconds."""
        return all(_state_of(path) == state for path, state in self._states.items())


def _state_of(path: str) -> tuple[int, ...] | None:
    """Return what differs where the file was written, replaced or put back with the time that it had."""
    with suppress(OSError):
        found = os.stat(path)
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
    return None
