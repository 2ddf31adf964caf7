"""Groups of processes are stopped in order, by their supervisor or by the guard that outlives it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.living import is_alive
from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app import config
from webhooks_app.jobs import process_groups

# Notes, once it was asked to end and a moment has passed, that it does.
ORDERLY = """
import signal, sys, time
def end(*_):
    time.sleep(0.2)
    print(sys.argv[1], file=open(sys.argv[2], "a"))
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
# Its child is of the same group, and stays when it has ended.
FORKING = """
import os, time
if os.fork():
    time.sleep(600)
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", os.getpid(), flush=True)
time.sleep(600)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program in a group of its own, and waits until it is up."""
    started: list[subprocess.Popen[str]] = []

    def start_one(source: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        output_of(process).close()


def test_a_stage_has_ended_before_the_next_is_asked_to(start: Start, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    first, second = (start(ORDERLY, name, str(notes)) for name in ("first", "second"))
    for process in (first, second):
        assert output_of(process).readline() == "up\n"

    process_groups.stop(
        [[first.pid], [second.pid]], reap=lambda: [first.poll(), second.poll()], patience_seconds=120
    )

    assert notes.read_text().split() == ["first", "second"]


def test_what_does_not_end_is_killed(start: Start) -> None:
    process = start(STUBBORN)
    assert output_of(process).readline() == "up\n"
    process_groups.stop([[process.pid]], patience_seconds=0.1)
    assert process.wait(180) == -9


def test_what_outlives_its_leader_is_killed_with_the_group(start: Start) -> None:
    process = start(FORKING)
    child = int(output_of(process).readline().split()[1])
    process_groups.stop([[process.pid]], reap=process.poll, patience_seconds=0.3)
    assert process.wait(180) < 0
    wait_for(lambda: not is_alive(child))


def test_the_guard_stops_what_it_was_told_of_once_its_input_ends(start: Start, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    late, early = (start(ORDERLY, name, str(notes)) for name in ("late", "early"))
    for process in (late, early):
        assert output_of(process).readline() == "up\n"
        threading.Thread(target=process.wait).start()  # as init does for orphans
    guard = subprocess.Popen(
        [sys.executable, "-m", "webhooks_app.jobs.process_groups"],
        cwd=config.ROOT,
        stdin=subprocess.PIPE,
        text=True,
    )

    guard.communicate(f"1 {late.pid}\n0 {early.pid}\n", timeout=180)

    assert guard.returncode == 0
    assert (late.wait(180), early.wait(60)) == (0, 0)
    assert notes.read_text().split() == ["early", "late"]


def test_the_guard_leaves_alone_what_has_ended_before(start: Start, tmp_path: Path) -> None:
    process = start(ORDERLY, "alive", str(tmp_path / "notes"))
    assert output_of(process).readline() == "up\n"
    guard = subprocess.run(
        [sys.executable, "-m", "webhooks_app.jobs.process_groups"],
        cwd=config.ROOT,
        input=f"0 {process.pid}\n- {process.pid}\n",
        text=True,
        timeout=180,
    )
    assert guard.returncode == 0
    assert process.poll() is None
