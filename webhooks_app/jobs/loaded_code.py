"""Whether the code that a process has loaded is still what is on disk."""

import os
import sys
from contextlib import suppress


class LoadedCode:
    """Remembers the files of all that this process has loaded when this is made."""

    def __init__(self) -> None:
        found = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        self._changed_at = {path: _changed_at(path) for path in found if path}

    def is_current(self) -> bool:
        """Return whether none of the files has been changed or removed since; takes some milliseconds."""
        return all(_changed_at(path) == moment for path, moment in self._changed_at.items())


def _changed_at(path: str) -> int | None:
    with suppress(OSError):
        return os.stat(path).st_mtime_ns
    return None
