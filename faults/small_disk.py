"""A file system in memory that only processes started for it see, and that can be filled to its last byte."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NSENTER = shutil.which("nsenter") or "nsenter"
_KEPT_SECONDS = 3600  # for which it is there, should the run be killed that made it
_PIECE_BYTES = 1024 * 1024
_PAUSE_SECONDS = 0.1


class SmallDisk:
    """`path` is where its processes see it, `seen_from_outside` where everybody else of root's does."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self._size_bytes = size_bytes
        self._holder = 0

    @contextmanager
    def existing(self) -> Iterator["SmallDisk"]:
        """Have it in a mount namespace for the block. Raises CalledProcessError where that is not allowed."""
        self.path.mkdir()
        mount = f"mount -t tmpfs -o size={self._size_bytes},mode=0755 none '{self.path}' && echo made"
        script = f"{mount} && exec sleep {_KEPT_SECONDS}"
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            try:
                assert holder.stdout is not None
                if not holder.stdout.readline():
                    raise subprocess.CalledProcessError(holder.wait(), command)
                self._holder = holder.pid
                yield self
            finally:
                holder.kill()

    @property
    def prefix(self) -> list[str]:
        """Return what a command is to run under to see it."""
        return [_NSENTER, f"--mount=/proc/{self._holder}/ns/mnt"]

    @property
    def seen_from_outside(self) -> Path:
        return Path(f"/proc/{self._holder}/root{self.path}")

    def bytes_left(self) -> int:
        there = os.statvfs(self.seen_from_outside)
        return there.f_bavail * there.f_frsize

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Leave no byte for the block, whatever its processes set free meanwhile."""
        filler, is_over = self.seen_from_outside / "filler", threading.Event()
        with filler.open("ab", buffering=0) as file:
            _fill(file.fileno())
            filling = threading.Thread(target=_keep_filling, args=(file.fileno(), is_over))
            filling.start()
            try:
                yield
            finally:
                is_over.set()
                filling.join()
                filler.unlink()


def _keep_filling(descriptor: int, is_over: threading.Event) -> None:
    while not is_over.wait(_PAUSE_SECONDS):
        _fill(descriptor)


def _fill(descriptor: int) -> None:
    for piece in (_PIECE_BYTES, os.sysconf("SC_PAGE_SIZE")):
        with suppress(OSError):
            while os.write(descriptor, bytes(piece)):
                pass
