"""Processes forked by one that goes on: each becomes one of its own, in real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from webhooks_app import config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the supervisor does not fork")

# What forks has a file open, its own handlers for signals, and streams in another encoding.
FORKS = """
import json, os, signal, sys
from webhooks_app.jobs import forked_process
from webhooks_app.jobs.forked_process import ForkedProcess

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: None)
held = open(sys.argv[1], "w")

def start(act, environment, begin):
    reading, writing = os.pipe()
    pid = forked_process.fork(act, title="avra part", environment=environment, output=writing, begin=begin)
    os.close(writing)
    return ForkedProcess(pid, os.fdopen(reading, "rb", buffering=0))

def print_signals():
    print([signal.getsignal(each).name for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []))

acts = {
    "streams": lambda: (print("\\u03a9"), print("\\udcff", file=sys.stderr), print(repr(sys.stdin.read()))),
    "files": lambda: print(sorted(os.listdir("/proc/self/fd"))),
    "session": lambda: print(os.getsid(0) == os.getpid()),
    "environment": lambda: print(os.environ["GIVEN"], os.environ["PAUSES"]),
    "title": lambda: print([open(f"/proc/self/{name}").read() for name in ("cmdline", "comm")]),
    "signals": print_signals,
    "setting": lambda: sys.exit(78),
    "fault": lambda: 1 / 0,
    "killed": lambda: os.abort(),
}
told = []
found = {}
for name, act in acts.items():
    process = start(act, {"GIVEN": "yes"}, lambda: told.append(name))
    text = process.stdout.readall().decode()
    found[name] = [text, process.wait(), process.poll()]
stopped = []
for _ in range(10):
    process = start(signal.pause, {}, lambda: None)
    os.killpg(process.pid, signal.SIGTERM)
    stopped.append(process.wait())
print(json.dumps(found | {"stopped": stopped, "told": told, "is_open": not held.closed}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each of them printed, with its status, twice."""
    folder = tmp_path_factory.mktemp("forks")
    with (folder / "errors").open("w") as errors:
        done = subprocess.run(
            [sys.executable, "-c", FORKS, str(folder / "held")],
            cwd=config.ROOT,
            env=os.environ | {"PAUSES": "1", "PYTHONIOENCODING": "ascii"},
            stdout=subprocess.PIPE,
            stderr=errors,  # unlike a pipe, it has a position
            text=True,
            timeout=120,
            check=True,
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("streams", "Ω\n\\udcff\n''\n"),
        ("files", "['0', '1', '2', '3']\n"),  # the last is the listing's own
        ("session", "True\n"),
        ("environment", "yes 1\n"),
        ("signals", "['SIG_DFL', 'SIG_DFL', 'SIG_DFL']\nset()\n"),
    ],
)
def test_it_has_of_its_own_what_a_process_has(found: dict[str, Any], name: str, expected: str) -> None:
    assert found[name] == [expected, 0, 0]


def test_what_it_does_to_begin_with_changes_nothing_in_its_parent(found: dict[str, Any]) -> None:
    assert (found["told"], found["is_open"]) == ([], True)


def test_it_has_a_name_of_its_own(found: dict[str, Any]) -> None:
    arguments, program = eval(found["title"][0])
    assert arguments.strip("\0") == "avra part"
    assert program == "avra-part\n"


def test_its_status_is_what_it_ended_with(found: dict[str, Any]) -> None:
    assert found["setting"] == ["", 78, 78]
    assert found["killed"][1:] == [-6, -6]
    text, *statuses = found["fault"]
    assert statuses == [1, 1]
    assert "ZeroDivisionError: division by zero" in text


def test_it_can_be_stopped_as_soon_as_it_was_started(found: dict[str, Any]) -> None:
    assert found["stopped"] == [-15] * 10


def test_a_title_that_is_too_long_is_cut_and_shows_nothing_else() -> None:
    program = """
from webhooks_app.jobs.process_title import set_title
set_title("long " * 1000)
print(open("/proc/self/cmdline").read(), end="")
"""
    before = ["-c", program]
    done = subprocess.run(
        [sys.executable, *before], cwd=config.ROOT, capture_output=True, text=True, timeout=180, check=True
    )
    length = len("\0".join([sys.executable, *before])) + 1
    assert done.stdout == ("long " * 1000)[: length - 1] + "\0"


def test_a_process_without_procfs_has_no_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from webhooks_app.jobs import process_title

    monkeypatch.setattr(process_title, "_NAME", tmp_path / "none" / "comm")
    process_title.set_title("avra part")
