"""The guard: a process that stops the others in order where their supervisor was killed."""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from webhooks_app import config

# Python for a process of the platform. A checkout is found through the current folder. An installed package
# is not, and a file in that folder that bears the name of a module must not take its place.
PYTHON = (sys.executable, *(["-P"] if config.IS_INSTALLED else []))


@dataclass(frozen=True)
class Announcement:
    """What a process calls to make itself known to the guard; see `process_groups.stop` for the stage."""

    pipe: int
    stage: int

    def __call__(self) -> None:
        with suppress(OSError):  # the guard has just ended; its successor is told
            os.write(self.pipe, b"%d %d\n" % (self.stage, os.getpid()))

    def withdraw(self, pid: int) -> None:
        """Tell the guard that a process has ended, as another process may get its id."""
        with suppress(OSError):  # the guard itself has ended
            os.write(self.pipe, b"- %d\n" % pid)


class Guard:
    """Runs `webhooks_app.jobs.process_groups`, and tells it which processes there are.

    `held` stays open in it for as long as any of them runs; it is started again at most `restarts` times.
    """

    def __init__(self, held: IO[str], *, restarts: int) -> None:
        self._held, self._restarts = held, restarts
        self._process = self._start()

    def announcement(self, stage: int) -> Announcement:
        return Announcement(self._pipe, stage)

    def forget(self, pid: int) -> None:
        """Keep the guard from signalling a process that has ended."""
        Announcement(self._pipe, 0).withdraw(pid)

    def end_status(self) -> int | None:
        """Return the status that the guard ended with, or None while it runs."""
        return self._process.poll()

    def restart(self, running: Iterable[tuple[int, int]]) -> bool:
        """Start it anew for processes given as (stage, process id), unless that was done too often."""
        self._restarts -= 1
        if self._restarts < 0:
            return False
        self.end()
        self._process = self._start()
        with suppress(OSError):  # it has ended at once, of which `end_status` tells
            for stage, pid in running:
                os.write(self._pipe, b"%d %d\n" % (stage, pid))
        return True

    def end(self) -> None:
        """Kill the guard, so that it cannot signal ids that may belong to other processes by now."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    @property
    def _pipe(self) -> int:
        assert self._process.stdin
        return self._process.stdin.fileno()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  a command of ours
            [*PYTHON, "-m", "webhooks_app.jobs.process_groups"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[self._held.fileno()],
        )
