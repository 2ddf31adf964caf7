"""The scripts at the top level, as docs/production.md starts them from a checkout."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import requests

from tests.conftest import deployed
from tests.free_ports import free_port
from tests.reading import output_of
from webhooks_app import config


@contextmanager
def running(
    command: Sequence[str], environ: dict[str, str], *, told: IO[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The script once it is ready; `told` takes its standard error."""
    kept = {name: value for name, value in os.environ.items() if name not in config.NAMES}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=config.ROOT,
        env=kept | environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=told,
        text=True,
    )
    try:
        assert output_of(process).readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
        output_of(process).close()


def settings(sqlite_template: Path, redis_url: str, folder: Path) -> dict[str, str]:
    shutil.copy(sqlite_template, folder / "test.db")
    return deployed(f"sqlite:///{folder / 'test.db'}", redis_url, folder)


def test_the_worker_script_runs_and_loads_nothing_that_makes_traces(
    sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    """Nor does the worker that it starts: both list what they import."""
    environ = settings(sqlite_template, redis_url, tmp_path) | {"PYTHONPROFILEIMPORTTIME": "1"}
    with (
        (tmp_path / "imported").open("w") as imported,
        running(["worker.py"], environ, told=imported) as process,
    ):
        assert process.poll() is None
    text = (tmp_path / "imported").read_text()
    assert "webhooks_app.tasks" in text
    assert "opentelemetry.context" not in text  # a try that fails is listed, too


def test_the_application_of_another_server_loads_nothing_that_makes_traces(
    sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    program = (
        "import sys, wsgi; assert wsgi.app\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.')]"
    )
    environ = os.environ | settings(sqlite_template, redis_url, tmp_path)
    subprocess.run([sys.executable, "-c", program], cwd=config.ROOT, env=environ, check=True, timeout=120)


@pytest.mark.parametrize("command", [["wsgi.py"], ["-m", "webhooks_app", "web"]])
def test_the_web_serves_the_application(
    command: list[str], sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    environ = settings(sqlite_template, redis_url, tmp_path) | {"PORT": str(port)}
    with running(command, environ):
        assert requests.get(f"http://127.0.0.1:{port}/login", timeout=30).status_code == 200


@pytest.mark.parametrize("command", ["web", "worker", "scheduler", "expire"])
def test_a_catalog_that_cannot_be_used_ends_a_process_with_its_line(
    command: str, sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "orders.toml"
    path.write_text('\n[[event_types]]\nname = "order-paid"\n')
    environ = settings(sqlite_template, redis_url, tmp_path) | {
        "WEBHOOKS_CATALOG": str(path),
        "PORT": str(free_port()),
    }
    kept = {name: value for name, value in os.environ.items() if name not in config.NAMES}
    ended = subprocess.run(
        [sys.executable, "-m", "webhooks_app", command],
        env=kept | environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == os.EX_CONFIG
    assert ended.stderr.splitlines()[-1] == (
        'error: orders.toml:2: event type "order-paid": group is missing or empty'
    )


def test_a_process_uses_the_event_types_of_a_deployment(
    sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    text = Path(config.ROOT / "docs" / "catalog.md").read_text().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "orders.toml").write_text(text)
    environ = settings(sqlite_template, redis_url, tmp_path) | {"WEBHOOKS_CATALOG": str(tmp_path / "catalog")}
    token = subprocess.run(
        [sys.executable, "-m", "webhooks_app", *("create-workspace", "Acme", "--admin", "a@example.com")],
        env=dict(os.environ) | environ,
        input="correct horse battery\n" * 2,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]
    url, headers = f"http://127.0.0.1:{(port := free_port())}/api/v1", {"Authorization": f"Bearer {token}"}
    with running(["-m", "webhooks_app", "web"], environ | {"PORT": str(port)}):
        listed = requests.get(f"{url}/event-types", headers=headers, timeout=30).json()["event_types"]
        assert (listed[-1]["name"], listed[-1]["title"]) == ("order.paid", "Order paid")
        event = {"type": "order.paid", "data": listed[-1]["example"]}
        assert requests.post(f"{url}/events", json=event, headers=headers, timeout=30).status_code == 202
        event["data"] = {"order_id": "order_1"}
        refused = requests.post(f"{url}/events", json=event, headers=headers, timeout=30)
        assert refused.json()["error"]["field"] == "data.amount_cents"
