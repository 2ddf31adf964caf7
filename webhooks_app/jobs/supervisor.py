"""Run several processes as one: show what each prints, and stop all of them in order when one ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import IO

from webhooks_app import config
from webhooks_app.core.logging_setup import escape
from webhooks_app.jobs import process_groups

# Python for a process of the platform. A checkout is found through the current folder. An installed package
# is not, and a file in that folder that bears the name of a module must not take its place.
PYTHON = (sys.executable, *(["-P"] if config.IS_INSTALLED else []))

_COLOURS = (36, 33, 32, 35, 31)  # of ANSI: cyan, yellow, green, magenta, red
_POLL_SECONDS = 0.1
_LAST_LINES_SECONDS = 1.0
# How processes print, of which the supervisor reads UTF-8 whatever the locale is.
_OUTPUT = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}


@dataclass(frozen=True)
class Command:
    """A process to run. `stops_last`: others use it, and a worker that ends still talks to Redis."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    says_ready: bool = True
    stops_last: bool = False


def supervise(commands: Sequence[Command], *, welcome: str, held: IO[str]) -> int:
    """Run the commands until a signal asks to stop or one of them ends, and return 0 or 1 accordingly.

    `welcome` is printed once each has printed `ready`. `held` is a file that stays open for as long as any of
    them runs, even where this process is killed: a guard then stops them.
    """
    output = _Output(commands, welcome)
    asked = _note_requests_to_stop()
    guard = _start_guard(held)
    running = {command.name: _start(command, guard) for command in commands}
    readers = {name: _in_thread(output.follow, name, process.stdout) for name, process in running.items()}
    ended = _wait(running | {"guard": guard}, lambda: bool(asked) or output.is_closed)
    _join([readers[name] for name in ended if name in readers])  # why it ended stands in its last lines
    sentences = [f"{name} {_describe(status)}; stopping the others …" for name, status in ended.items()]
    output.say("\n" + ("\n".join(sentences) or "Stopping …"))
    _stop(commands, running)
    _join(readers.values())
    _end_guard(guard)
    return 1 if ended else 0


class _Output:
    """Prints lines under the names of the processes they come from, except those that say `ready`."""

    def __init__(self, commands: Sequence[Command], welcome: str) -> None:
        self._width = max(len(command.name) for command in commands)
        self._colours = dict(zip((command.name for command in commands), cycle(_COLOURS), strict=False))
        self._awaited = {command.name for command in commands if command.says_ready}
        self._welcome = welcome
        self._lock = threading.Lock()
        self.is_closed = False

    def follow(self, name: str, lines: IO[bytes]) -> None:
        """Print all lines; where nobody reads them any more, take them all the same."""
        for line in lines:
            text = line.decode(errors="replace")
            if name in self._awaited and text.startswith("ready"):
                self._note_ready(name)
            else:
                self.say("\n".join(self._prefix(name) + escape(part) for part in text.splitlines()))

    def say(self, text: str) -> None:
        with self._lock:
            try:
                print(text, flush=True)
            except OSError:
                self.is_closed = True

    def _note_ready(self, name: str) -> None:
        with self._lock:
            self._awaited.remove(name)
            are_all_ready = not self._awaited
        if are_all_ready:
            self.say(self._welcome)

    def _prefix(self, name: str) -> str:
        prefix = f" {name:{self._width}} | "
        return f"\033[{self._colours[name]}m{prefix}\033[0m" if sys.stdout.isatty() else prefix


def _note_requests_to_stop() -> list[int]:
    """Return a list that every request to stop is added to: Ctrl-C, SIGTERM, a terminal that closes."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda number, _: asked.append(number))
    return asked


def _start_guard(held: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  a command of ours
        [*PYTHON, "-m", "webhooks_app.jobs.process_groups"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[held.fileno()],
    )


def _start(command: Command, guard: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    assert guard.stdin
    guarded, stage = guard.stdin.fileno(), int(command.stops_last)
    return subprocess.Popen(  # noqa: S603  a command of ours
        command.arguments,
        env=os.environ | _OUTPUT | dict(command.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # By the process itself, so that the guard knows it at whichever moment the supervisor is killed. No
        # thread runs yet that could hold a lock which the process would inherit.
        preexec_fn=lambda: os.write(guarded, b"%d %d\n" % (stage, os.getpid())),
    )


def _in_thread(act: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=act, args=arguments, daemon=True)
    thread.start()
    return thread


def _join(readers: Iterable[threading.Thread]) -> None:
    """Wait until what the processes wrote is printed; a child of theirs that lives on ends no output."""
    for reader in readers:
        reader.join(_LAST_LINES_SECONDS)


def _wait(watched: Mapping[str, subprocess.Popen[bytes]], should_stop: Callable[[], bool]) -> dict[str, int]:
    """Wait until a process ends or `should_stop`; return the status of each process that has ended."""
    while True:
        ended = {name: process.returncode for name, process in watched.items() if process.poll() is not None}
        if ended or should_stop():
            return ended
        time.sleep(_POLL_SECONDS)


def _describe(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended by itself with status {status}"


def _stop(commands: Sequence[Command], running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    process_groups.stop(
        [
            [running[command.name].pid for command in commands if command.stops_last is last]
            for last in (False, True)
        ],
        reap=lambda: [process.poll() for process in running.values()],
    )
    for process in running.values():
        process.wait()


def _end_guard(guard: subprocess.Popen[bytes]) -> None:
    """End it before it can signal process ids that others may bear by now."""
    guard.kill()
    guard.wait()
    if guard.stdin:
        with suppress(OSError):
            guard.stdin.close()
