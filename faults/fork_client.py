"""Starts, signals and awaits the processes of a run, all of which `faults.fork_server` forks."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from faults.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent
# Imported before the first fork, so that no process imports them again.
PRELOADED = ("faults.entry_points", "faults.scripted_receiver", "faults.load_generator")
FIRST_PORT, LAST_PORT = 8400, 8460
# Open until this process ends.
_port_locks: list[socket.socket] = []


class ForkClient:
    """Sends commands to a fork server of its own, and knows which of the processes still run."""

    def __init__(self, logs: Path, preloaded: Sequence[str] = PRELOADED) -> None:
        self._logs = logs
        self._server = _start_fork_server(preloaded)
        self._alive: set[int] = set()
        self._statuses: dict[int, int] = {}
        self._started: queue.Queue[int] = queue.Queue()
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def call(self, function: str, *args: Any, name: str, env: dict[str, str], **patch: Any) -> int:
        """Fork a process that calls `module:function` with `args`, and return its process id.

        `args` and `patch` are JSON values; `patch` sets module attributes, by dotted name, before the call.
        """
        command = {"call": function, "args": args, "env": env, "patch": patch}
        return self._send(command | {"log": str(self.log(name))})

    def execute(
        self, command: list[str], *, name: str, user: str | None = None, env: dict[str, str] | None = None
    ) -> int:
        """Fork a process that executes `command`, as `user` where one is named, and return its process id."""
        program = {"exec": command, "user": user, "env": env or dict(os.environ)}
        return self._send(program | {"log": str(self.log(name))})

    def run_module(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        output: Path,
        errors: Path | None,
        env: Mapping[str, str],
    ) -> int:
        """Fork a process that does as `python -m` does, and return its process id.

        `output`, a file or a FIFO, and `errors`, a file, take what it prints; with None its errors go where
        this process's went when it started the server.
        """
        program = {"module": module, "args": list(arguments), "env": dict(env)}
        return self._send(program | {"log": str(output), "errors": errors and str(errors)})

    def status(self, pid: int) -> int | None:
        """Return the status that a process ended with, as `subprocess` has it, or None while it runs."""
        return self._statuses.get(pid)

    def log(self, name: str) -> Path:
        """Return the file that holds what the processes started under `name` printed."""
        return self._logs / f"{name}.log"

    def is_alive(self, pid: int) -> bool:
        return pid in self._alive

    def signal(self, pid: int, number: signal.Signals) -> None:
        if self.is_alive(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, pid: int) -> None:
        self.signal(pid, signal.SIGKILL)
        self.wait(pid, 5)

    def wait(self, pid: int, seconds: float) -> float:
        """Wait for the end of a process and return how many seconds it took. Raises WaitTimeout."""
        return wait_for(lambda: not self.is_alive(pid), seconds, f"the end of process {pid}")

    def close(self) -> None:
        """End the fork server, which kills whatever it started."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server.stdout.close()

    def _send(self, command: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        line = json.dumps(command) + "\n"
        with self._lock:
            self._server.stdin.write(line.encode())
            self._server.stdin.flush()
            return self._started.get(timeout=60)

    def _listen(self) -> None:
        assert self._server.stdout is not None
        with suppress(ValueError):  # the pipe is closed by `close`
            for line in self._server.stdout:
                message = json.loads(line)
                if "started" in message:
                    self._alive.add(message["started"])
                    self._statuses.pop(message["started"], None)
                    self._started.put(message["started"])
                elif "ended" in message:
                    self._statuses[message["ended"]] = message["status"]
                    self._alive.discard(message["ended"])


def _start_fork_server(preloaded: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "faults.fork_server", *preloaded],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
    )


class ProcessGroup:
    """A process whose children do the work: the web, or the pool of delivery workers."""

    def __init__(self, fork_client: ForkClient, start: Callable[[], int]) -> None:
        self._fork_client, self._start = fork_client, start
        self.pid = 0

    def start(self) -> None:
        """Start the parent process unless it runs."""
        if not self._fork_client.is_alive(self.pid):
            self.pid = self._start()

    def children(self) -> list[int]:
        """Return the process ids of the children that run and do the work; none if the parent is gone."""
        with suppress(OSError):
            tasks = Path(f"/proc/{self.pid}/task").iterdir()
            found = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
            return [pid for pid in found if not _is_zombie(pid)]
        return []

    def signal_child(self, pid: int, number: signal.Signals) -> bool:
        """Send a signal and return whether the process was still there."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """Kill the parent and its children at once, as when a host loses power."""
        if self._fork_client.is_alive(self.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._fork_client.wait(self.pid, 5)

    def stop(self, seconds: float = 15) -> float:
        """Stop the parent by SIGTERM and return how many seconds it took. Raises WaitTimeout."""
        self._fork_client.signal(self.pid, signal.SIGTERM)
        return self._fork_client.wait(self.pid, seconds)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def free_ports(how_many: int) -> list[int]:
    """Return so many free loopback ports, and keep other runs from choosing them while this process lives.

    Raises RuntimeError where there are too few.
    """
    found: list[int] = []
    for port in range(FIRST_PORT, LAST_PORT):
        if _is_free(port) and _reserve(port):
            found.append(port)
        if len(found) == how_many:
            return found
    raise RuntimeError(f"no free ports from {FIRST_PORT} to {LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _reserve(port: int) -> bool:
    """Bind a socket that stands for the port: between the choice and the bind, another run may look, too.

    Its name is in no folder, as another run may have another one for temporary files.
    """
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0avra-port-{port}")
    except OSError:
        lock.close()
        return False
    _port_locks.append(lock)
    return True
