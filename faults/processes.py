"""The processes of a platform under test: its database, Redis, receiver, web, workers and schedulers."""

import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from flask import Flask
from flask_migrate import upgrade

from faults.databases import Database
from faults.harness import Group, Nursery, RedisServer, TooSlow, free_ports, wait_for
from webhooks_app import config
from webhooks_app.app import create_app
from webhooks_app.extensions import db

WEB_WORKERS = 3
DELIVERY_WORKERS = 4
IN_FLIGHT = 60
LEASE_SECONDS = 2
# Longer than any answer of the receiver's mix, and shorter than the lease.
TIMEOUT_MS = 1200
DELAYS = (0.2, 0.3, 0.5, 0.5, *[1.0] * 26)

# For scenarios without a kill, in which a lease that a slow machine overran would look like a fault.
PATIENT = {"WEBHOOKS_LEASE_SECONDS": "30"}

_ENV = {
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "WEBHOOKS_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "WEBHOOKS_ALLOW_HTTP": "1",
    "WEBHOOKS_ALLOWED_TARGETS": "127.0.0.0/8",
    "WEBHOOKS_LEASE_SECONDS": str(LEASE_SECONDS),
    "WEBHOOKS_RETRY_DELAYS": ",".join(map(str, DELAYS)),
    "WEBHOOKS_WORKERS": str(DELIVERY_WORKERS),
    "WEBHOOKS_IN_FLIGHT": str(IN_FLIGHT),
}


class Processes:
    def __init__(self, folder: Path, nursery: Nursery, database: Database, **environ: str) -> None:
        self.folder, self.nursery, self.database = folder, nursery, database
        self.redis = RedisServer(nursery, folder / "redis")
        self.web_port, self.receiver_port = free_ports(2)
        self.base_url = f"http://127.0.0.1:{self.web_port}"
        self.environ = _ENV | environ
        self.armed: dict[str, str] = {}
        self.patch: dict[str, Any] = {}
        self.clock_moved_seconds = 0.0
        self.clock: Path | None = None  # see `follow_clock`
        self.web = Group(nursery, self._start_web)
        self.pool = Group(nursery, self._start_pool)
        self.schedulers = [Group(nursery, self._start_scheduler)]
        self.receiver_journal = folder / "arrivals.log"
        self.counts = folder

    # Processes

    def start(self) -> None:
        self.database.start()
        self.redis.start()
        self.app = self._make_app()
        self.nursery.call(
            "faults.receiver:main",
            *(self.receiver_port, str(self.receiver_journal)),
            name="receiver",
            env={},
        )
        self.heal()

    def heal(self) -> None:
        """Everything runs again, whatever happened before."""
        self.database.start()
        self.redis.signal(signal.SIGCONT)
        self.redis.start()
        for group in (self.web, self.pool, *self.schedulers):
            for pid in group.children():
                group.signal_child(pid, signal.SIGCONT)
            group.start()
        wait_for(self.is_healthy, 30, "a healthy platform")

    def is_healthy(self, port: int | None = None) -> bool:
        address = f"http://127.0.0.1:{port or self.web_port}/api/v1/event-types"
        with suppress(requests.RequestException):
            return requests.get(address, timeout=2).status_code == 401
        return False

    def restart(self, **armed: str) -> None:
        """Restarts web and workers in order, with other failpoints armed."""
        self.armed = armed
        for group in (self.web, self.pool):
            group.stop()
        self.heal()

    def follow_clock(self, **armed: str) -> None:
        """Restarts web and workers with a clock that `move_clock` moves while they run."""
        self.clock = self.folder / "clock"
        self.move_clock(0)
        self.restart(**armed)

    def move_clock(self, seconds: float) -> None:
        new = self.folder / "clock.new"
        new.write_text(str(seconds))
        new.replace(self.folder / "clock")

    def health(self) -> tuple[int, list[str]]:
        """What whoever watches the platform is answered: the status, and what is wrong."""
        answer = requests.get(f"{self.base_url}/healthz", timeout=5)
        return answer.status_code, answer.json()["problems"]

    def stop(self) -> None:
        for group in (self.web, self.pool, *self.schedulers):
            with suppress(TooSlow):
                group.stop()
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    @property
    def environment(self) -> dict[str, str]:
        return self.environ | self.armed | self._addresses

    @property
    def _addresses(self) -> dict[str, str]:
        return {
            "WEBHOOKS_INSTANCE": str(self.folder),
            "FAILPOINT_COUNTS": str(self.counts),
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
            "PORT": str(self.web_port),
        }

    def _make_app(self) -> Flask:
        app = create_app(config.read(self.environ | self._addresses))
        with app.app_context():
            upgrade()
        return app

    def _start_web(self) -> int:
        arguments: tuple[float, ...] = (WEB_WORKERS,)
        function = "web"
        if self.clock:
            return self._call("web_with_clock_of", str(self.clock), WEB_WORKERS, name="web")
        if self.clock_moved_seconds:
            function, arguments = "web_with_clock_moved", (WEB_WORKERS, self.clock_moved_seconds)
        return self._call(function, *arguments, name="web")

    def _start_pool(self) -> int:
        if self.clock:
            return self._call("pool_with_clock_of", str(self.clock), name="pool")
        if self.clock_moved_seconds:
            return self._call("pool_with_clock_moved", self.clock_moved_seconds, name="pool")
        return self._call("pool", name="pool")

    def _start_scheduler(self) -> int:
        return self._call("scheduler", name="scheduler")

    def _call(self, function: str, *arguments: Any, name: str) -> int:
        return self.nursery.call(
            f"faults.programs:{function}", *arguments, name=name, env=self.environment, **self.patch
        )

    def add_scheduler(self) -> Group:
        group = Group(self.nursery, self._start_scheduler)
        self.schedulers.append(group)
        group.start()
        return group

    def add_pool(self) -> Group:
        group = Group(self.nursery, self._start_pool)
        group.start()
        return group

    def limit_files(self, size: int | None) -> None:
        """No process may write beyond so many bytes of a file; None lets them again."""
        for group in (self.web, self.pool):
            for pid in (group.pid, *group.children()):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
