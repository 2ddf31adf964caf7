"""A short-lived child that loads what several processes share, and forks them.

The process that starts it stays small, as it only waits and watches and has no use for what is loaded. What
the loader has forked becomes a child of that process when the loader ends. Linux only; see `forked_process`.
"""

import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from webhooks_app.jobs import adoption, child_process, forked_process
from webhooks_app.jobs.forked_process import ForkedProcess
from webhooks_app.jobs.orphan_guard import Announcement
from webhooks_app.jobs.process import STOP_SIGNALS, gc_freeze

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_MOST_BYTES = 64 * 1024  # of a request: a name and a few variables


class Loader:
    """Calls `load` once, then forks processes by name, each of which runs one of `acts`.

    `answer` is what `load` returned. The process that creates it has no threads, and adopts orphans.
    """

    def __init__(self, load: Callable[[], str], acts: Mapping[str, Callable[[], object]]) -> None:
        """Start it and wait for `load`; one that is killed meanwhile is replaced.

        Ends this process, with the loader's status, where `load` ends that one.
        """
        self._load, self._acts = load, acts
        self._has_ended = False
        self._forked: set[int] = set()
        gc_freeze()  # or collections of the loader would write to each page that it shares with this process
        while not self._is_loaded():
            time.sleep(_RETRY_SECONDS)

    def fork(
        self, name: str, environment: Mapping[str, str], announcement: Announcement
    ) -> ForkedProcess | None:
        """Return a process of this name, which announces itself to the guard before it does anything else.

        None where the loader has no such act, or has ended: any process that it forked without reporting it
        has then been killed. The new process is this process's child once the loader ends.
        """
        if name not in self._acts or self._has_ended:
            return None
        before = adoption.children()
        reading, writing = os.pipe()
        request = json.dumps([name, dict(environment), announcement.stage])
        pid = self._ask(request, [writing, announcement.pipe])
        os.close(writing)
        if pid is None:
            os.close(reading)
            self.end()
            for unreported in adoption.children() - before - self._forked:
                _kill(unreported)
                announcement.withdraw(unreported)
            return None
        self._forked.add(pid)
        return ForkedProcess(pid, os.fdopen(reading, "rb", buffering=0))

    def end(self) -> None:
        """End the loader: from now on what it has forked are children of this process."""
        if not self._has_ended:
            self._has_ended = True
            self._close()
            self._wait()

    def _is_loaded(self) -> bool:
        parent = os.getpid()
        self._requests, theirs = socket.socketpair()
        self._answers = self._requests.makefile()

        def run() -> None:
            self._close()
            adoption.end_with_parent()
            if os.getppid() == parent:
                _serve(theirs, self._load(), self._acts)

        self.pid = child_process.fork(run)
        theirs.close()
        if line := self._read():
            self.answer: str = json.loads(line)
            return True
        self._close()
        if (status := self._wait()) >= 0:
            sys.exit(status)
        log.warning("loader_died", extra={"status": status})
        return False

    def _ask(self, request: str, files: list[int]) -> int | None:
        with suppress(OSError):  # the loader was killed
            socket.send_fds(self._requests, [request.encode()], files)
            if line := self._read():
                return int(line)
        return None

    def _read(self) -> str:
        """Return a whole line, empty where the loader has ended."""
        line = self._answers.readline()
        return line if line.endswith("\n") else ""

    def _close(self) -> None:
        self._answers.close()
        self._requests.close()

    def _wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def _kill(pid: int) -> None:
    """Kill and collect a child with all of its group, which it may not have made yet."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    for which in (-pid, pid):
        with suppress(ChildProcessError):
            while True:
                os.waitpid(which, 0)


def _serve(requests: socket.socket, loaded: str, acts: Mapping[str, Callable[[], object]]) -> None:
    """Say what `load` returned, then fork what is asked for, until nobody asks any more.

    A request to stop is not for this process: if it ended too soon, nobody would know what it has forked.
    """
    os.setsid()  # nor does a terminal end it
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _answer(requests, loaded)
    while True:
        request, files, _, _ = socket.recv_fds(requests, _MOST_BYTES, maxfds=2)
        if not request:
            return
        name, environment, stage = json.loads(request)
        output, pipe = files
        pid = forked_process.fork(
            acts[name],
            title=f"avra {name}",
            environment=environment,
            output=output,
            begin=Announcement(pipe, stage),
        )
        for file in files:
            os.close(file)
        _answer(requests, pid)


def _answer(requests: socket.socket, answer: object) -> None:
    requests.sendall(json.dumps(answer).encode() + b"\n")
