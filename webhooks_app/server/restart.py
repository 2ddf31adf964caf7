"""A restart without a gap: SIGHUP has the web load its code anew, under the same process id.

While this process does so, another one of the same command serves on the same listening socket:

1. It starts, with the code as it is on disk now. Where it does not get ready, all stays as it was.
2. This process accepts nothing more, answers what it was asked, and replaces itself by its command (`exec`).
3. Once ready, it dismisses the other, which leaves in the same way.

The socket is never closed, so that a client which connects meanwhile waits a moment at most.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress

from webhooks_app.jobs.process import when_orphaned

log = logging.getLogger(__name__)

# Has a web process finish what it was asked, accept nothing more and end.
LEAVE_SIGNAL = signal.SIGUSR1
_START_SECONDS = 60.0
_LISTENER, _STAND_IN_OF, _STAND_IN = "_AVRA_LISTENER", "_AVRA_STAND_IN_OF", "_AVRA_STAND_IN"


def listener_of(environ: MutableMapping[str, str]) -> socket.socket | None:
    """Return the listening socket that the process before has left, once; None where there was none."""
    number = environ.pop(_LISTENER, None)
    if number is None:
        return None
    found = socket.socket(fileno=int(number))
    found.set_inheritable(False)  # or it would outlive the next restart, and nobody would know of it
    return found


class Restart:
    """One per web process that was started by a command of its own; to be made before `environ` is used."""

    def __init__(
        self,
        listener: socket.socket,
        environ: MutableMapping[str, str],
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        """`command`: with which the web is started; None for that with which this process was."""
        self._command = list(command or [sys.executable, *sys.orig_argv[1:]])
        self._kept = listener.dup()  # the server closes its own
        self._environ = environ
        self._stand_in: subprocess.Popen[str] | None = None
        self._is_under_way = False
        self._has_given_up = False
        stands_in_of = environ.pop(_STAND_IN_OF, None)
        self._stands_in_of = None if stands_in_of is None else int(stands_in_of)
        predecessor = environ.pop(_STAND_IN, None)
        self._to_dismiss = None if predecessor is None else int(predecessor)
        if self._to_dismiss is not None:
            self._order = _pipe_with_one_order()

    def give_up(self) -> None:
        """Let go of the socket; there is no restart after that, and one under way comes to nothing."""
        self._has_given_up = True
        self._kept.close()

    def handle_hangup(self) -> None:
        """Restart on SIGHUP, unless it is what a terminal sends when it is closed."""
        if self._stands_in_of is not None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM), self._stands_in_of)
        elif not sys.stdin or not sys.stdin.isatty():
            signal.signal(signal.SIGHUP, lambda *_: self._begin())

    def dismiss(self) -> None:
        """Ask the process that stood in for this one to leave; only once, as a second signal would end it.

        To be called by each process that serves: the first of them takes the order out of the pipe.
        """
        if self._to_dismiss is not None and self._takes_order():
            with suppress(ProcessLookupError):
                os.kill(self._to_dismiss, LEAVE_SIGNAL)

    def _takes_order(self) -> bool:
        with suppress(BlockingIOError):
            return bool(os.read(self._order, 1))
        return False

    def reap(self) -> None:
        """Wait, in a thread, for the end of the process that stood in for this one."""
        if self._to_dismiss is not None:
            threading.Thread(target=_wait_for_end, args=(self._to_dismiss,), daemon=True).start()

    def exec_if_handed_over(self) -> None:
        """Replace this process by its command, if it has left for that."""
        if self._stand_in is not None and not self._has_given_up:
            os.execve(  # noqa: S606  a command of ours
                self._command[0], self._command, self._handing_over({_STAND_IN: str(self._stand_in.pid)})
            )

    def _begin(self) -> None:
        if not self._is_under_way and not self._has_given_up:
            self._is_under_way = True
            threading.Thread(target=self._hand_over_once_ready, daemon=True).start()

    def _hand_over_once_ready(self) -> None:
        started = subprocess.Popen(  # noqa: S603  a command of ours
            self._command,
            env=self._handing_over({_STAND_IN_OF: str(os.getpid())}),
            pass_fds=[self._kept.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        if not _gets_ready(started):
            log.error("web_restart_failed", extra={"pid": started.pid})
            self._is_under_way = False
            return
        self._stand_in = started
        os.kill(os.getpid(), LEAVE_SIGNAL)

    def _handing_over(self, more: dict[str, str]) -> dict[str, str]:
        self._kept.set_inheritable(True)
        return dict(self._environ) | {_LISTENER: str(self._kept.fileno())} | more


def _pipe_with_one_order() -> int:
    """Return the reading end of a pipe with one byte; children that are forked later share it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"1")
    os.close(writing)
    return reading


def _gets_ready(started: "subprocess.Popen[str]") -> bool:
    """Wait until the process says that it is; end one that does not."""
    late = threading.Timer(_START_SECONDS, started.kill)
    late.start()
    try:
        assert started.stdout is not None
        return any(line == "ready\n" for line in started.stdout)
    finally:
        late.cancel()


def _wait_for_end(process_id: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(process_id, 0)


def handle_leave_signal(leave: Callable[[], None]) -> None:
    """Have `leave` called when this process gets LEAVE_SIGNAL."""
    signal.signal(LEAVE_SIGNAL, lambda *_: leave())
