"""Processes of the platform, forked from one that has loaded it: each that starts anew imports for a second.

What is about the start itself, as what it loads or how it is installed, starts `python -m webhooks_app`.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO

from faults.fork_client import ForkClient
from webhooks_app import config

# What web, workers and scheduler import, or import once they have begun.
_LOADED = ("cli.web", "cli.processes", "cli.start_checks", "cli.worker_process", "cli.scheduler_process")
_numbers = count(1)


class PlatformProcess:
    """`python -m webhooks_app …`; what is asked of it is what one asks of a `subprocess.Popen`.

    Its output is a pipe, and its errors go where those of the tests do; or `output`, a file, takes both.
    The file `errors`, if given, takes its errors instead.
    """

    def __init__(
        self,
        *arguments: str,
        environ: Mapping[str, str],
        output: Path | None = None,
        errors: Path | None = None,
    ) -> None:
        self._client = _client()
        place = output or _new_fifo()
        self.stdout: IO[str] | None = None
        self.pid = self._client.run_module(
            "webhooks_app", arguments, output=place, errors=errors or output, env=environ
        )
        if output is None:
            self.stdout = place.open()  # once both have opened it
            place.unlink()

    @property
    def returncode(self) -> int | None:
        return self._client.status(self.pid)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (status := self.returncode) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        self._client.signal(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def without_settings() -> dict[str, str]:
    """Return the environment of this process without settings of the platform."""
    return {name: value for name, value in os.environ.items() if name not in config.NAMES}


@cache
def _client() -> ForkClient:
    """One for this process; it ends with it, and all that it started."""
    return ForkClient(_folder(), [f"webhooks_app.{name}" for name in _LOADED])


@cache
def _folder() -> Path:
    path = Path(tempfile.mkdtemp(prefix="avra"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _new_fifo() -> Path:
    path = _folder() / f"{next(_numbers)}.output"
    os.mkfifo(path)
    return path
