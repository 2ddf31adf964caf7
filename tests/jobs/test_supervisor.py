"""Several processes run as one; what `run` makes of this is in tests/cli/test_run.py."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.reading import output_of
from webhooks_app import config

# Runs programs given as sources, each under a letter.
SUPERVISE = """
import sys
from webhooks_app.jobs.supervisor import Command, supervise

sources, names = sys.argv[2:], "abcdef"
commands = [Command(name, [sys.executable, "-c", source]) for name, source in zip(names, sources)]
with open(sys.argv[1], "w") as held:
    sys.exit(supervise(commands, welcome="Welcome.", held=held))
"""
READY = "import time; print('ready'); time.sleep(600)"
TALKS = "import time\nprint('ready')\nwhile True: print('on and on'); time.sleep(0.1)"


def supervise(tmp_path: Path, *sources: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path / "lock"), *sources],
        cwd=config.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("sys.exit(3)", "b ended by itself with status 3"),
        ("os.abort()", "b was killed by SIGABRT"),
    ],
)
def test_the_first_that_ends_stops_the_others_and_is_named(tmp_path: Path, end: str, expected: str) -> None:
    output, _ = supervise(tmp_path, READY, f"import os, sys; print('hello'); {end}").communicate(timeout=60)
    assert output.splitlines() == [" b | hello", "", f"{expected}; stopping the others …"]


def test_all_that_a_process_said_comes_before_the_sentence_on_its_end(tmp_path: Path) -> None:
    much = "print(*range(30_000), sep='\\n', flush=True)"
    output, _ = supervise(tmp_path, READY, much).communicate(timeout=60)
    assert output.splitlines()[-3:] == [
        " b | 29999",
        "",
        "b ended by itself with status 0; stopping the others …",
    ]


def test_the_welcome_comes_once_all_are_ready(tmp_path: Path) -> None:
    ends = "import time; print('ready'); time.sleep(1); print('two\\nlines'); time.sleep(1)"
    process = supervise(tmp_path, READY, READY, ends)
    output, _ = process.communicate(timeout=60)
    assert output.splitlines()[:3] == ["Welcome.", " c | two", " c | lines"]
    assert process.returncode == 1


def test_what_a_process_prints_cannot_steer_the_terminal(tmp_path: Path) -> None:
    output, _ = supervise(tmp_path, r"print('\x1b[2J\r forged \u202e')").communicate(timeout=60)
    assert output.splitlines()[:2] == [r" a | \x1b[2J", r" a |  forged \u202e"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_process_prints_is_read_under_any_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:backslashreplace")
    output, _ = supervise(tmp_path, READY, "print('\\u03a9 \\udcff')").communicate(timeout=60)
    assert output.splitlines()[0] == " b | Ω \\udcff".encode(encoding, "backslashreplace").decode(encoding)


def test_an_output_that_nobody_reads_any_more_stops_all(tmp_path: Path) -> None:
    process = supervise(tmp_path, READY, TALKS)
    assert output_of(process).readline() in ("Welcome.\n", " b | on and on\n")
    output_of(process).close()
    process.wait(60)
    assert process.stderr is not None
    process.stderr.close()
