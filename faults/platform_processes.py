"""The processes of the platform under test: database, Redis, receiver, web, workers and schedulers."""

import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from flask import Flask

from faults.databases import Database
from faults.fork_client import ForkClient, ProcessGroup, free_ports
from faults.redis_server import RedisServer
from faults.waiting import WaitTimeout, wait_for
from webhooks_app import config
from webhooks_app.app import create_app
from webhooks_app.cli.schema import upgrade
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.extensions import db

WEB_WORKERS = 3
DELIVERY_WORKERS = 4
IN_FLIGHT = 60
# Long enough for a worker that waits for a core, or for a locked database, before it can record: a lease that
# ends meanwhile gives a duplicate that no kill explains.
LEASE_SECONDS = 4
# Longer than any response of the receiver's mix, and shorter than the lease.
TIMEOUT_MS = 1200
DELAYS = (0.2, 0.3, 0.5, 0.5, *[1.0] * 26)

# For scenarios without a kill, in which a lease that expires on a slow machine would look like a fault.
LONG_LEASE = {"WEBHOOKS_LEASE_SECONDS": "30"}

_ENVIRON = {
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "WEBHOOKS_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "WEBHOOKS_ALLOW_HTTP": "1",
    "WEBHOOKS_ALLOWED_TARGETS": "127.0.0.0/8",
    "WEBHOOKS_LEASE_SECONDS": str(LEASE_SECONDS),
    "WEBHOOKS_RETRY_DELAYS": ",".join(map(str, DELAYS)),
    "WEBHOOKS_WORKERS": str(DELIVERY_WORKERS),
    "WEBHOOKS_IN_FLIGHT": str(IN_FLIGHT),
}


class PlatformProcesses:
    """Starts and stops every process of one platform, whose files are in `folder`."""

    def __init__(self, folder: Path, fork_client: ForkClient, database: Database, **environ: str) -> None:
        self.folder, self.fork_client, self.database = folder, fork_client, database
        self.redis = RedisServer(fork_client, folder / "redis")
        self.web_port, self.receiver_port = free_ports(2)
        self.base_url = _loopback(self.web_port)
        self.receiver_url = _loopback(self.receiver_port)
        self.environ = _ENVIRON | environ
        # What a scenario adds to the environment and patches in the processes that start from now on.
        self.extra_environ: dict[str, str] = {}
        self.patch: dict[str, Any] = {}
        self.database_url: str | None = None  # of what stands between the processes and their database
        self.clock_offset_seconds = 0.0
        self.clock_file: Path | None = None  # see `use_clock_file`
        # A function of `entry_points` that calls the pool, with its arguments before the name of that.
        self.pool_wrapper: tuple[str | float, ...] = ()
        self.web = ProcessGroup(fork_client, self._start_web)
        self.pool = ProcessGroup(fork_client, self._start_pool)
        self.schedulers = [ProcessGroup(fork_client, self._start_scheduler)]
        self.receiver_journal = folder / "arrivals.log"
        self.failpoint_counts = folder

    def start(self) -> None:
        """Start everything on an empty database."""
        self.database.start()
        self.redis.start()
        self.app = self._make_app()
        self.fork_client.call(
            "faults.scripted_receiver:main",
            *(self.receiver_port, str(self.receiver_journal)),
            name="receiver",
            env={},
        )
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start or resume whatever does not run, and wait until the API answers."""
        self.database.start()
        self.redis.signal(signal.SIGCONT)
        self.redis.start()
        for group in (self.web, self.pool, *self.schedulers):
            for pid in group.children():
                group.signal_child(pid, signal.SIGCONT)
            group.start()
        wait_for(self.is_healthy, 30, "a healthy platform")

    def is_healthy(self, port: int | None = None) -> bool:
        """Return whether the API answers, on the given port or the usual one."""
        with suppress(requests.RequestException):
            return requests.get(f"{self.url_of(port)}/api/v1/event-types", timeout=2).status_code == 401
        return False

    def url_of(self, port: int | None) -> str:
        """Return where the API is: on the given port of this host, or at the usual place."""
        return _loopback(port) if port else self.base_url

    def restart(self, **environ: str) -> None:
        """Stop web and workers in order, and start them with `environ` in addition to the usual settings."""
        self.extra_environ = environ
        for group in (self.web, self.pool):
            group.stop()
        self.ensure_running()

    def use_clock_file(self, **environ: str) -> None:
        """Restart web and workers with a clock that `set_clock_offset` moves while they run."""
        self.clock_file = self.folder / "clock"
        self.set_clock_offset(0)
        self.restart(**environ)

    def set_clock_offset(self, seconds: float) -> None:
        """Have the clock of processes that `use_clock_file` started go so many seconds ahead."""
        new = self.folder / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "clock")

    def health(self) -> tuple[int, list[str]]:
        """Return the status of `/healthz` and the problems that it lists."""
        answer = requests.get(f"{self.base_url}/healthz", timeout=5)
        return answer.status_code, answer.json()["problems"]

    def stop(self) -> None:
        """Stop web, workers and schedulers, and close this process's own connections."""
        for group in (self.web, self.pool, *self.schedulers):
            with suppress(WaitTimeout):
                group.stop()
        self.disconnect()

    def disconnect(self) -> None:
        """Close this process's own connections to the database."""
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    @property
    def environment(self) -> dict[str, str]:
        """Return the whole environment of a process that starts now."""
        return self.environ | self.extra_environ | self._addresses

    @property
    def _addresses(self) -> dict[str, str]:
        return {
            "WEBHOOKS_INSTANCE": str(self.folder),
            "FAILPOINT_COUNTS": str(self.failpoint_counts),
            "DATABASE_URL": self.database_url or self.database.url,
            "REDIS_URL": self.redis.url,
            "PORT": str(self.web_port),
        }

    def _make_app(self) -> Flask:
        settings = config.read(self.environ | self._addresses)
        app = create_app(settings, database_limits=COMMAND_LIMITS)
        with app.app_context():
            upgrade()
        return app

    def _start_web(self) -> int:
        return self._call_with_clock("web", WEB_WORKERS)

    def _start_pool(self) -> int:
        if self.pool_wrapper:
            function, *arguments = self.pool_wrapper
            return self._call(str(function), *arguments, "pool", name="pool")
        return self._call_with_clock("pool")

    def _call_with_clock(self, name: str, *arguments: int) -> int:
        if self.clock_file:
            return self._call("with_clock_file", str(self.clock_file), name, *arguments, name=name)
        if self.clock_offset_seconds:
            return self._call("with_clock_offset", self.clock_offset_seconds, name, *arguments, name=name)
        return self._call(name, *arguments, name=name)

    def _start_scheduler(self) -> int:
        return self._call("scheduler", name="scheduler")

    def _call(self, function: str, *arguments: str | float, name: str) -> int:
        return self.fork_client.call(
            f"faults.entry_points:{function}", *arguments, name=name, env=self.environment, **self.patch
        )

    def add_scheduler(self) -> ProcessGroup:
        """Start one more scheduler."""
        group = ProcessGroup(self.fork_client, self._start_scheduler)
        self.schedulers.append(group)
        group.start()
        return group

    def add_pool(self) -> ProcessGroup:
        """Start one more pool of workers, which whoever asked for it has to stop."""
        group = ProcessGroup(self.fork_client, self._start_pool)
        group.start()
        return group

    def limit_files(self, size: int | None) -> None:
        """Let no process write beyond so many bytes of a file; None lifts the limit."""
        for group in (self.web, self.pool):
            for pid in (group.pid, *group.children()):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def _loopback(port: int) -> str:
    return f"http://127.0.0.1:{port}"
