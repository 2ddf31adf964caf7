"""Ctrl-C while a process still loads what it needs."""

import os
import signal
import subprocess
import sys

import pytest

from tests.platform_process import without_settings
from webhooks_app import config

# Ends up interrupted when it is about to import a module.
_INTERRUPTED = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
path, module, *sys.argv[1:] = sys.argv[1:]
sys.meta_path.insert(0, Finder())
if path:
    runpy.run_path(path, run_name="__main__")
else:
    runpy.run_module("webhooks_app", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("path", "module", "arguments"),
    [
        ("", "click", ["scheduler"]),
        ("", "webhooks_app.cli.beginning", ["scheduler"]),
        ("", "webhooks_app.cli.tailing", ["events", "tail"]),
        ("worker.py", "webhooks_app.cli.beginning", []),
        ("wsgi.py", "webhooks_app.monitoring", []),
    ],
)
def test_it_ends_a_process_that_is_loading_without_a_traceback(
    path: str, module: str, arguments: list[str]
) -> None:
    ended = interrupted(path, module, arguments)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_a_command_that_runs_by_then_says_that_it_was_aborted() -> None:
    ended = interrupted("", "webhooks_app.cli.erasure", ["events", "erase", "evt_1", "--yes"])
    assert (ended.returncode, ended.stderr) == (130, "\nAborted!\n")


def interrupted(path: str, module: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, path, module, *arguments],
        cwd=config.ROOT,
        env=without_settings() | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
