"""What a forked process returns, and what is left of one that does not."""

import os
import subprocess
import time

import pytest

from mutants import forked
from tests.living import is_alive
from tests.waiting import wait_for


def test_what_it_returned_comes_back() -> None:
    assert forked.call(lambda: {"text": "x" * 200_000}, 30) == {"text": "x" * 200_000}


@pytest.mark.parametrize("end", [lambda: os._exit(3), lambda: time.sleep(600), lambda: [][1]])
def test_one_that_dies_or_never_ends_returns_nothing(end: object) -> None:
    assert forked.call(end, 0.5) is None  # type: ignore[arg-type]


def test_what_it_started_ends_with_it() -> None:
    started = forked.call(lambda: subprocess.Popen(["sleep", "600"]).pid, 30)
    wait_for(lambda: not is_alive(started))


@pytest.mark.parametrize(("seconds", "processor_seconds"), [(0.2, 600), (600, 0.2)])
def test_one_that_takes_too_long_ends_itself(seconds: float, processor_seconds: float) -> None:
    def run() -> str:
        forked.end_after(seconds, processor_seconds=processor_seconds)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pass
        return "was not ended"

    assert forked.call(run, 120) is None
