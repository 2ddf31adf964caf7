"""Several processes of one program, which share what was loaded before they were forked."""

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from webhooks_app.jobs import child_process
from webhooks_app.jobs.process import STOP_SIGNALS, when_orphaned

log = logging.getLogger(__name__)

# A process that ends at once, again and again, must not keep a core busy with starting it.
_RESTART_SECONDS = 1.0
# A request to stop that comes just before a system call does not interrupt it, so none is to wait for long.
_LOOK_SECONDS = 0.1


class Prefork:
    """Keeps `count` processes running, each of which calls `run`, until this one is asked to end.

    Where this one is killed, each of them asks itself to end.
    """

    def __init__(
        self,
        name: str,
        count: int,
        run: Callable[[], None],
        *,
        leave_signal: signal.Signals | None = None,
        when_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare processes that the log calls `name`.

        `leave_signal` is one more that ends all, and reaches them as it is. When it is any other that ends
        them, `when_stopping` is called, between any two steps of this process.
        """
        self._name = name
        self._count = count
        self._run = run
        self._leave_signal = leave_signal
        self._when_stopping = when_stopping
        self._children: dict[int, float] = {}
        self._is_stopping = False
        self._id = os.getpid()

    def supervise(self) -> None:
        """Start the processes, replace those that end, and on SIGTERM or SIGINT end all and return."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        if self._leave_signal is not None:
            signal.signal(self._leave_signal, self._stop)
        while not self._is_stopping:
            self._start_missing()
            self._collect_one()
        while self._children:
            self._collect_one()

    def _start_missing(self) -> None:
        while len(self._children) < self._count and not self._is_stopping:
            # A request to stop that came between a child's start and its entry would miss it.
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            child = child_process.fork(self._run_as_child)
            self._children[child] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _run_as_child(self) -> None:
        when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM), self._id)
        self._run()

    def _collect_one(self) -> None:
        if not self._children:  # asked to end before it had started one
            return
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            time.sleep(_LOOK_SECONDS)
            return
        started_at = self._children.pop(child, None)
        if started_at is None or self._is_stopping:
            return
        fields = {"pid": child, "status": os.waitstatus_to_exitcode(status)}
        log.warning(f"{self._name}_died", extra=fields)
        time.sleep(max(0.0, started_at + _RESTART_SECONDS - time.monotonic()))

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        for child in self._children:
            with suppress(ProcessLookupError):  # it has ended, and was collected just now
                os.kill(child, number if number == self._leave_signal else signal.SIGTERM)
        if number != self._leave_signal:
            self._when_stopping()
