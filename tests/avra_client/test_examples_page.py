"""The page of the examples, followed by hand: its commands, in their order, in a checkout's folder."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests import wheels
from tests.avra_client.test_frameworks import CLIENT, accepted_orders
from tests.avra_client.test_frameworks import python as python
from tests.conftest import Workspace
from tests.docs_site.code_blocks import blocks
from tests.free_ports import free_port
from tests.waiting import wait_for

SET_UP, FASTAPI, ORDER, DJANGO, DJANGO_ORDER, CELERY, CELERY_ORDER = (
    each.code for each in blocks("clients/python/examples/README.md")
)
# Where each terminal begins.
AGAIN = "".join(SET_UP.splitlines(keepends=True)[:2])
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who types what the page shows, into terminals in a checkout's folder."""

    checkout: Path
    own: dict[str, str]

    def script(self, *shown: str) -> list[str]:
        text = "".join(shown)
        for there, here in self.own.items():
            text = text.replace(there, here)
        return ["sh", "-ec", text]

    def type(self, *shown: str, **environ: str) -> str:
        done = subprocess.run(
            self.script(*shown),
            cwd=self.checkout,
            env=os.environ | wheels.OFFLINE | {"PYTHONPATH": ""} | environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, *shown: str) -> Iterator[None]:
        """Type what goes on until it is interrupted, as Ctrl-C does."""
        with (self.checkout / "output").open("w") as output:
            process = subprocess.Popen(
                self.script(*shown),
                cwd=self.checkout,
                env=os.environ | wheels.OFFLINE | {"PYTHONPATH": ""},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(SECONDS)


@pytest.fixture
def reader(platform_url: str, redis_url: str, workspace: Workspace, tmp_path: Path) -> Reader:
    shutil.copytree(CLIENT, tmp_path / "clients" / "python", ignore=shutil.ignore_patterns("venv"))
    redis = urlsplit(redis_url)
    own = {
        "https://webhooks.example.com": platform_url,
        "tok_…": workspace.token,
        "8010": str(free_port()),
        "redis://localhost:6379/0": f"'redis+socket://{redis.path}?virtual_host={parse_qs(redis.query)['db'][0]}'",
        "python3 -m": f"{sys.executable} -m",
    }
    return Reader(tmp_path, own)


def share(python: str, venv: Path) -> None:
    """Have in an environment what pip would fetch: the packages of another one, and their programs."""
    [there] = Path(python).parents[1].glob("lib/python*/site-packages")
    [here] = venv.glob("lib/python*/site-packages")
    (here / "shared.pth").write_text(str(there))
    for name in ("uvicorn", "celery"):
        (venv / "bin" / name).write_text(f'#!/bin/sh\nexec {venv}/bin/python -m {name} "$@"\n')
        (venv / "bin" / name).chmod(0o755)


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_examples_are_tried_by_hand_as_their_page_says(python: str, reader: Reader) -> None:
    reader.type(SET_UP, PYTHONPATH=wheels.OFFLINE["PYTHONPATH"])  # where what builds the client is
    share(python, reader.checkout / "clients" / "python" / "examples" / "venv")
    for app, order in ((FASTAPI, ORDER), (DJANGO, DJANGO_ORDER)):
        with reader.running(AGAIN, app):
            wait_for(lambda: is_serving(reader.own["8010"]), SECONDS)
            assert reader.type(AGAIN, order).endswith("}1 event accepted\n")
    with reader.running(AGAIN, CELERY):
        reader.type(AGAIN, CELERY_ORDER)
        wait_for(lambda: len(accepted_orders()) == 3, SECONDS)
    assert accepted_orders() == ["order-1"] * 3


def is_serving(port: str) -> bool:
    """Return whether an app answers, whatever it says to a request without an order."""
    try:
        return requests.get(f"http://localhost:{port}/", timeout=10).status_code == 404
    except requests.RequestException:
        return False
