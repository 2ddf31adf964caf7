"""A process of the platform that is forked, and so shares with its parent what that one has loaded.

To be forked by a process without threads and open connections only. On Linux: elsewhere a system library may
not survive a fork.
"""

import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import IO

from webhooks_app.jobs import child_process, process_title
from webhooks_app.jobs.process import STOP_SIGNALS

_OPEN_FILES = "/proc/self/fd"
# It takes a millisecond; one that is suspended just then must not hold up the others for good.
_BEGINNING_SECONDS = 10.0


def fork(
    act: Callable[[], object],
    *,
    title: str,
    environment: Mapping[str, str],
    output: int,
    begin: Callable[[], object],
) -> int:
    """Return the id of a process that calls `begin`, in a session of its own, and ends with `act`.

    What it prints on either stream goes to the file `output`.
    """
    begun, beginning = os.pipe()

    def run() -> None:
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.setsid()
        begin()
        _take_streams(output)  # closes `beginning`, too
        os.environ.update(environment)
        process_title.set_title(title)
        act()

    # A request to stop would be taken as one to its parent, until the child has taken its handlers off.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    pid = child_process.fork(run)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    os.close(beginning)
    # It ends: from now on there is a group of that id, which can be stopped.
    select.select([begun], [], [], _BEGINNING_SECONDS)
    os.close(begun)
    return pid


class ForkedProcess:
    """What a supervisor needs of a `subprocess.Popen`: `stdout` has what it prints on either stream."""

    def __init__(self, pid: int, stdout: IO[bytes]) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its status, negative for the signal that killed it, or None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for its end and return its status."""
        return self._wait(0)

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _take_streams(writing: int) -> None:
    """Print to this pipe from now on, have nothing to read, and let go of whatever else the parent has open.

    The parent's objects for that stay as they are, as none of them is touched any more.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, writing, writing)):
        os.dup2(source, number)
    for number in map(int, os.listdir(_OPEN_FILES)):
        if number > 2:
            with suppress(OSError):  # the listing's own is closed already
                os.close(number)
    sys.stdout, sys.stderr = _text_stream(1), _text_stream(2)


def _text_stream(number: int) -> TextIOWrapper:
    # Not the parent's, which may be a file's: such a one looks for its position when it is reconfigured.
    binary = open(number, "wb", closefd=False)  # noqa: SIM115  for good
    return TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", line_buffering=True)
