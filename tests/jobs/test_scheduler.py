"""The scheduler's process, from its first word on."""

import subprocess
import sys

import pytest

_STOPPED_AT_ONCE = """
import os, signal, sys
from webhooks_app.jobs.scheduler import run_scheduler
run_scheduler(
    sys.argv[1], is_alone=False, when_ready=lambda: os.kill(os.getpid(), int(sys.argv[2]))
)
"""


@pytest.mark.parametrize("number", [2, 15], ids=["SIGINT", "SIGTERM"])
def test_a_scheduler_that_is_stopped_once_it_is_ready_ends_as_one_that_was_stopped(
    redis_url: str, number: int
) -> None:
    command = [sys.executable, "-c", _STOPPED_AT_ONCE, redis_url, str(number)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
