"""The scripts at the top level, as docs/production.md starts them from a checkout."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.cli.test_run import free_port
from tests.conftest import deployed
from tests.reading import output_of
from webhooks_app import config


@contextmanager
def running(command: Sequence[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The script once it is ready."""
    kept = {name: value for name, value in os.environ.items() if name not in config.NAMES}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=config.ROOT,
        env=kept | environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert output_of(process).readline() == "ready\n"
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        output_of(process).close()


def settings(sqlite_template: Path, redis_url: str, folder: Path) -> dict[str, str]:
    shutil.copy(sqlite_template, folder / "test.db")
    return deployed(f"sqlite:///{folder / 'test.db'}", redis_url, folder)


def test_the_worker_script_runs(sqlite_template: Path, redis_url: str, tmp_path: Path) -> None:
    with running(["worker.py"], settings(sqlite_template, redis_url, tmp_path)) as process:
        assert process.poll() is None


@pytest.mark.parametrize("command", [["wsgi.py"], ["-m", "webhooks_app", "web"]])
def test_the_web_serves_the_application(
    command: list[str], sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    environ = settings(sqlite_template, redis_url, tmp_path) | {"PORT": str(port)}
    with running(command, environ):
        assert requests.get(f"http://127.0.0.1:{port}/login", timeout=30).status_code == 200
