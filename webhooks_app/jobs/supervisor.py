"""Run several processes as one: show what each prints, start again what ends, and stop all in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from webhooks_app.jobs import process_groups
from webhooks_app.jobs.fork_loader import Loader
from webhooks_app.jobs.forked_process import ForkedProcess
from webhooks_app.jobs.orphan_guard import Announcement, Guard
from webhooks_app.jobs.supervised_output import SupervisedOutput

_POLL_SECONDS = 0.1
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


@dataclass(frozen=True)
class RestartLimits:
    """How often a process that ends is started again: once after each pause, each longer than the one before.

    One that ran for `steady_seconds` has all its restarts before it again.
    """

    pauses_seconds: tuple[float, ...] = (0.5, 1, 2, 4, 8)
    steady_seconds: float = 60


DEFAULT_LIMITS = RestartLimits()


def supervise(
    commands: Sequence[Command],
    *,
    welcome: str,
    held: IO[str],
    limits: RestartLimits = DEFAULT_LIMITS,
    loader: Loader | None = None,
) -> int:
    """Run the commands until a signal asks to stop, and return 0, or until one cannot be kept running: 1.

    `welcome` is printed once each has printed `ready`. `held` is a file that stays open for as long as any of
    them runs, even where this process is killed: a guard then stops them. `loader` forks those that it can,
    and is ended then; whatever is started again is started by its command.
    """
    awaited = [command.name for command in commands if command.says_ready]
    output = SupervisedOutput([command.name for command in commands], awaited=awaited, welcome=welcome)
    asked = _note_requests_to_stop()
    guard = Guard(held, restarts=len(limits.pauses_seconds))
    running = [_Running(command, guard, output, limits, loader) for command in commands]
    if loader is not None:
        loader.end()
    reason = _watch(running, guard, output, lambda: bool(asked) or output.is_closed)
    output.say("\n" + (f"{reason}; stopping the others …" if reason else "Stopping …"))
    _stop(running)
    guard.end()
    return 1 if reason else 0


def _watch(
    running: Sequence["_Running"], guard: Guard, output: SupervisedOutput, should_stop: Callable[[], bool]
) -> str:
    """Start again what ends, until `should_stop`, or something ends for good: return a sentence on that."""
    while not should_stop():
        for each in running:
            if each.has_ended:
                each.clear_away()
                if not each.may_be_restarted:
                    return each.describe_end()
                output.say(f"{each.describe_end()}; starting it again {each.set_restart_time()} …")
            elif each.is_due:
                each.start()
        if (end := guard.end_status()) is not None:
            if not guard.restart([(each.stage, each.pid) for each in running if each.is_alive]):
                return f"guard {_describe(end)}"
            output.say(f"guard {_describe(end)}; it was started again.")
        output.wait(_POLL_SECONDS)
    return ""


class _Running:
    """A command, its process, and when it is to be started again."""

    def __init__(
        self,
        command: Command,
        guard: Guard,
        output: SupervisedOutput,
        limits: RestartLimits,
        loader: Loader | None,
    ) -> None:
        self.stage = int(command.stops_last)
        self._command, self._guard, self._output, self._limits = command, guard, output, limits
        self._loader = loader
        self._ends = 0
        self._restart_at: float | None = None
        self.start()

    def start(self) -> None:
        self._restart_at, self._started_at = None, time.monotonic()
        self.process = self._start_process()
        assert self.process.stdout is not None
        self._follower = self._output.follow(
            self._command.name, self.process.stdout, says_ready=self._command.says_ready
        )

    def _start_process(self) -> subprocess.Popen[bytes] | ForkedProcess:
        environment = _OUTPUT | dict(self._command.environment)
        announcement = self._guard.announcement(self.stage)
        forked = self._loader and self._loader.fork(self._command.name, environment, announcement)
        return forked or _execute(self._command.arguments, environment, announcement)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def has_ended(self) -> bool:
        return self._restart_at is None and not self.is_alive

    @property
    def is_due(self) -> bool:
        return self._restart_at is not None and time.monotonic() >= self._restart_at

    @property
    def may_be_restarted(self) -> bool:
        # A setting that cannot be used has to be put right by a person.
        return self.process.returncode != os.EX_CONFIG and self._ends <= len(self._limits.pauses_seconds)

    def clear_away(self) -> None:
        """Count the end, and stop what the process has left behind, which may hold its port."""
        is_steady = time.monotonic() - self._started_at > self._limits.steady_seconds
        self._ends = 1 if is_steady else self._ends + 1
        process_groups.stop([[self.pid]], reap=self.reap)
        self._guard.forget(self.pid)
        self.finish_output()  # why it ended stands in its last lines

    def reap(self) -> None:
        """Collect the process once it has ended, and then its orphans, where this process adopts them.

        Also print the output so far: a process that is blocked on a full pipe would never end.
        """
        self._output.wait(0)
        if not self.is_alive:
            with suppress(ChildProcessError):
                while os.waitpid(-self.pid, os.WNOHANG)[0]:
                    pass

    def finish_output(self) -> None:
        """Wait until what the process wrote is printed."""
        self._output.finish(self._follower)

    def set_restart_time(self) -> str:
        """Note when the process is to be started again, and return it in words."""
        pause_seconds = self._limits.pauses_seconds[self._ends - 1]
        self._restart_at = time.monotonic() + pause_seconds
        return f"in {pause_seconds:g} s ({self._ends} of {len(self._limits.pauses_seconds)} times)"

    def describe_end(self) -> str:
        again = f", the {_ordinal(self._ends)} time in a row" if self._ends > 1 else ""
        return f"{self._command.name} {_describe(self.process.returncode)}{again}"


def _note_requests_to_stop() -> list[int]:
    """Return a list that every request to stop is added to: Ctrl-C, SIGTERM, a terminal that closes."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda number, _: asked.append(number))
    return asked


def _execute(
    arguments: Sequence[str], environment: Mapping[str, str], announcement: Announcement
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  a command of ours
        arguments,
        bufsize=0,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # By the process itself, so that the guard knows it at whichever moment the supervisor is killed.
        preexec_fn=announcement,
    )


def _describe(status: int | None) -> str:
    assert status is not None, "it runs"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended by itself with status {status}"


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def _stop(running: Sequence[_Running]) -> None:
    alive = [each for each in running if each.is_alive]

    def reap() -> None:
        for each in alive:
            each.reap()

    process_groups.stop([[each.pid for each in alive if each.stage == stage] for stage in (0, 1)], reap=reap)
    for each in running:
        each.process.wait()
        each.finish_output()
