"""The guard, which may be killed like any other process."""

import os
import subprocess
from pathlib import Path

from webhooks_app.jobs.orphan_guard import Guard


class ShortLived(Guard):
    """A guard that is killed as soon as it has started."""

    def _start(self) -> "subprocess.Popen[bytes]":
        process = super()._start()
        process.kill()
        process.wait()
        return process


def test_one_that_ends_at_once_keeps_nobody_from_starting_the_next(tmp_path: Path) -> None:
    with (tmp_path / "held").open("w") as held:
        guard = ShortLived(held, restarts=1)
        assert guard.restart([(0, os.getpid())])
        assert guard.end_status() is not None
        assert not guard.restart([])
        guard.end()
