"""Raise the limit of open files, and say where it is too low."""

import resource
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

from webhooks_app.config import ROOT

_RAISE_LIMIT = "from webhooks_app.jobs import open_files; print(open_files.raise_limit())"
_START_WORKERS = """
from dataclasses import replace
from webhooks_app import config
from webhooks_app.cli import processes
processes.warn_of_few_open_files(replace(config.read(), in_flight=400))
"""
_START_WEB = """
from dataclasses import replace
from webhooks_app import config
from webhooks_app.cli import web
web.fitting_limits(replace(config.read(), web_threads=8))
"""


def run_with(limits: str, code: str, instance: Path, *, status: int = 0) -> subprocess.CompletedProcess[str]:
    script = f'ulimit {limits}; exec "$0" -c "$1"'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, code],
        cwd=ROOT,
        env={"WEBHOOKS_INSTANCE": str(instance), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.parametrize(("limits", "allowed"), [("-n 256", 256), ("-Sn 256", 4096), ("-n 5000", 5000)])
def test_the_limit_follows_the_hard_one(tmp_path: Path, limits: str, allowed: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < hard < 5000:
        pytest.skip("the limit of open files is low here")
    assert run_with(limits, _RAISE_LIMIT, tmp_path).stdout == f"{allowed}\n"


@pytest.mark.parametrize(
    ("start", "consequence"),
    [
        (_START_WORKERS, "each worker has 96 requests under way at most, not 400"),
        (_START_WEB, "160 clients may be connected at the same time, not 2000"),
    ],
    ids=["workers", "web"],
)
def test_a_low_limit_is_said_in_one_line(tmp_path: Path, start: str, consequence: str) -> None:
    [line] = run_with("-n 256", start, tmp_path).stderr.splitlines()
    assert line.startswith(f"warning: The limit of open files is 256: {consequence}")
    assert run_with("-Sn 256", start, tmp_path).stderr == ""


_RUN = "import sys; from webhooks_app.cli.main import main; sys.exit(main(['{}']))"


@pytest.mark.parametrize("count", [24, 32, 48])
@pytest.mark.parametrize("command", ["web", "worker", "scheduler", "run"])
def test_a_limit_that_nothing_works_with_is_refused_in_one_line(
    tmp_path: Path, command: str, count: int
) -> None:
    done = run_with(f"-n {count}", _RUN.format(command), tmp_path, status=78)
    assert done.stderr.startswith(f"error: The limit of open files is {count}, and at least 64 are needed.")
    assert done.stderr.count("\n") == 1


def test_more_threads_of_the_web_need_more(tmp_path: Path) -> None:
    code = _START_WEB.replace("web_threads=8", "web_threads=64")
    start = "from webhooks_app.jobs.process import exit_on_start_error\nwith exit_on_start_error():\n"
    code = start + indent(code, " ")
    done = run_with("-n 256", code, tmp_path, status=78)
    assert done.stderr.startswith("error: The limit of open files is 256, and at least 296 are needed.")
