"""The fork server's processes: as new as any, and on ports of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from faults.fork_client import ForkClient, free_ports
from faults.waiting import wait_for
from webhooks_app import config

MODULE = "tests.faults.process_state"


def test_a_chosen_port_is_not_chosen_again_before_anybody_listens() -> None:
    chosen = free_ports(2)
    assert not set(chosen) & set(free_ports(2))


@contextmanager
def started(folder: Path) -> Iterator[ForkClient]:
    if sys.platform != "linux":
        pytest.skip("the fault suite forks and reads /proc; run it on Linux")
    with closing(ForkClient(folder, ["webhooks_app.cli.web"])) as client:
        yield client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ForkClient]:
    with started(tmp_path) as client:
        yield client


def test_its_errors_go_where_those_of_this_process_do(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with started(tmp_path) as client:
        pid = client.run_module(MODULE, [], output=tmp_path / "output", errors=None, env=os.environ)
        wait_for(lambda: client.status(pid) is not None, 60, "the end of the process")
    assert capfd.readouterr().err == "an error\n"


def forked(client: ForkClient, output: Path, environ: dict[str, str]) -> Any:
    errors = output.with_suffix(".errors")
    pid = client.run_module(MODULE, ["a", "b c"], output=output, errors=errors, env=environ)
    wait_for(lambda: client.status(pid) is not None, 60, "the end of the process")
    assert (client.status(pid), errors.read_text()) == (3, "an error\n")
    return json.loads(output.read_text())


def test_a_module_that_is_forked_finds_what_one_that_is_started_does(
    client: ForkClient, tmp_path: Path
) -> None:
    environ = {**os.environ, "A_SETTING": "of its own"}
    first, second = (forked(client, tmp_path / name, environ) for name in ("first", "second"))
    with (tmp_path / "first").open("a") as output, (tmp_path / "first.errors").open("a") as errors:
        done = subprocess.run(
            [sys.executable, "-m", MODULE, "a", "b c"],
            cwd=config.ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            check=False,
        )
    assert done.returncode == 3
    started = json.loads((tmp_path / "first").read_text().splitlines()[-1])
    assert first["state"] == started["state"]
    assert first["random"] != second["random"]
