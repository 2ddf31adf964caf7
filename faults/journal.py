"""Append-only journals, one JSON object per line, which processes of a run write and the suite reads.

The receiver's journal holds the requests that arrived, the producers' the 202s, and the crash reports theirs.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Writes each line with one system call, so that a killed writer leaves no partial line behind."""

    def __init__(self, path: Path | str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **fields: Any) -> None:
        os.write(self._file, json.dumps(fields, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


def read(path: Path, offset: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the lines from byte `offset` on."""
    if not path.exists():
        return
    with path.open() as lines:
        lines.seek(offset)
        for line in lines:
            if line.endswith("\n"):  # a line that is being written is read the next time
                yield json.loads(line)
