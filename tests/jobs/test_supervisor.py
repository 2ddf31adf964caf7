"""Several processes run as one; what `run` makes of this is in tests/cli/test_run.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app import config

# Runs programs given as sources, each under a letter.
SUPERVISE = """
import os, sys
from webhooks_app.jobs.supervisor import Command, RestartLimits, supervise

limits = RestartLimits(pauses_seconds=tuple(float(pause) for pause in os.environ["PAUSES"].split()))
sources, names = sys.argv[2:], "abcdef"
commands = [Command(name, [sys.executable, "-c", source]) for name, source in zip(names, sources)]
with open(sys.argv[1], "w") as held:
    sys.exit(supervise(commands, welcome="Welcome.", held=held, limits=limits))
"""
READY = "import time; print('ready'); time.sleep(600)"
TALKS = "import time\nprint('ready')\nwhile True: print('on and on'); time.sleep(0.1)"


def supervise(tmp_path: Path, *sources: str, pauses: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path / "lock"), *sources],
        cwd=config.ROOT,
        env=os.environ | {"PAUSES": pauses},
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
def test_what_ends_for_good_stops_the_others_and_is_named(tmp_path: Path, end: str, expected: str) -> None:
    output, _ = supervise(tmp_path, READY, f"import os, sys; print('hello'); {end}").communicate(timeout=180)
    assert output.splitlines() == [" b | hello", "", f"{expected}; stopping the others …"]


def test_all_that_a_process_said_comes_before_the_sentence_on_its_end(tmp_path: Path) -> None:
    much = "print(*range(30_000), sep='\\n', flush=True)"
    output, _ = supervise(tmp_path, READY, much).communicate(timeout=180)
    assert output.splitlines()[-3:] == [
        " b | 29999",
        "",
        "b ended by itself with status 0; stopping the others …",
    ]


def test_what_ends_is_started_again_with_growing_pauses_and_then_ends_the_whole(tmp_path: Path) -> None:
    process = supervise(tmp_path, READY, "import sys; print('hello'); sys.exit(3)", pauses="0.1 0.2")
    output, _ = process.communicate(timeout=180)
    assert output.splitlines() == [
        " b | hello",
        "b ended by itself with status 3; starting it again in 0.1 s (1 of 2 times) …",
        " b | hello",
        "b ended by itself with status 3, the 2nd time in a row; starting it again in 0.2 s (2 of 2 times) …",
        " b | hello",
        "",
        "b ended by itself with status 3, the 3rd time in a row; stopping the others …",
    ]
    assert process.returncode == 1


def test_what_was_started_again_works_and_welcomes_nobody_twice(tmp_path: Path) -> None:
    once, welcomed = tmp_path / "once", tmp_path / "welcomed"
    dies = f"""
import os, pathlib, time
once = pathlib.Path({str(once)!r})
is_first = not once.exists()
once.touch()
print("ready")
while not pathlib.Path({str(welcomed)!r}).exists():
    time.sleep(0.02)
os.abort() if is_first else print("works again")
time.sleep(600)
"""
    process = supervise(tmp_path, READY, dies, pauses="0.1")
    lines = [output_of(process).readline()]
    welcomed.touch()
    lines += [output_of(process).readline() for _ in range(2)]
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=180)
    assert lines == [
        "Welcome.\n",
        "b was killed by SIGABRT; starting it again in 0.1 s (1 of 1 times) …\n",
        " b | works again\n",
    ]
    assert rest == "\nStopping …\n"
    assert process.returncode == 0


def test_a_setting_that_cannot_be_used_is_not_tried_again(tmp_path: Path) -> None:
    output, _ = supervise(tmp_path, READY, "import sys; sys.exit(78)", pauses="60 60").communicate(
        timeout=180
    )
    assert output == "\nb ended by itself with status 78; stopping the others …\n"


def test_what_a_process_leaves_behind_is_stopped_before_it_is_started_again(tmp_path: Path) -> None:
    # The child inherits the lock, as the children of a web process do its port.
    locks = f"""
import fcntl, os, time
file = open({str(tmp_path / "held")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("locked")
if os.fork():
    os.abort()
time.sleep(600)
"""
    output, _ = supervise(tmp_path, READY, locks, pauses="0.1").communicate(timeout=180)
    assert output.splitlines().count(" b | locked") == 2
    assert "Blocking" not in output


def test_the_welcome_comes_once_all_are_ready(tmp_path: Path) -> None:
    welcomed = tmp_path / "welcomed"
    ends = f"""
import pathlib, time
print("ready")
while not pathlib.Path({str(welcomed)!r}).exists():
    time.sleep(0.02)
print("two\\nlines")
"""
    process = supervise(tmp_path, READY, READY, ends)
    assert output_of(process).readline() == "Welcome.\n"
    welcomed.touch()
    output, _ = process.communicate(timeout=180)
    assert output.splitlines()[:2] == [" c | two", " c | lines"]
    assert process.returncode == 1


def test_what_a_process_prints_cannot_steer_the_terminal(tmp_path: Path) -> None:
    output, _ = supervise(tmp_path, r"print('\x1b[2J\r forged \u202e')").communicate(timeout=180)
    assert output.splitlines()[:2] == [r" a | \x1b[2J", r" a |  forged \u202e"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_process_prints_is_read_under_any_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:backslashreplace")
    output, _ = supervise(tmp_path, READY, "print('\\u03a9 \\udcff')").communicate(timeout=180)
    assert output.splitlines()[0] == " b | Ω \\udcff".encode(encoding, "backslashreplace").decode(encoding)


def test_an_output_that_nobody_reads_any_more_stops_all(tmp_path: Path) -> None:
    process = supervise(tmp_path, READY, TALKS)
    assert output_of(process).readline() in ("Welcome.\n", " b | on and on\n")
    output_of(process).close()
    process.wait(180)
    assert process.stderr is not None
    process.stderr.close()


# Has a loader load a module and fork what it does, which is started again by a command.
FORK = """
import sys
sys.path.insert(0, sys.argv[2])
from webhooks_app.jobs import adoption
from webhooks_app.jobs.fork_loader import Loader
from webhooks_app.jobs.supervisor import Command, RestartLimits, supervise

def load():
    import part
    return ""

def run():
    import part
    part.run()

assert adoption.adopt_orphans()
loader = Loader(load, {"a": run})
program = f"import sys; sys.path.insert(0, {sys.argv[2]!r}); import part; part.run()"
command = Command("a", [sys.executable, "-c", program])
limits = RestartLimits(pauses_seconds=(0.1, 0.1))
with open(sys.argv[1], "w") as held:
    sys.exit(supervise([command], welcome="Welcome.", held=held, limits=limits, loader=loader))
"""
# Says who loaded it, and leaves a child behind when it is killed.
PART = """
import os, signal, time
print("loaded by", os.getpid())
def run():
    if os.fork() == 0:
        signal.pause()
    print("ready\\n{version}", os.getpid())
    signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the supervisor has no loader")
def test_what_a_loader_has_forked_is_started_again_with_the_code_that_is_on_disk(tmp_path: Path) -> None:
    part = tmp_path / "part.py"
    part.write_text(PART.replace("{version}", "old"))
    with forking(tmp_path) as process, output_of(process) as lines:
        loader = int(lines.readline().removeprefix("loaded by "))
        assert lines.readline() == "Welcome.\n"
        first = _id_of(lines.readline(), "old")
        wait_for(lambda: not psutil.pid_exists(loader))
        assert psutil.Process(first).ppid() == process.pid
        part.write_text(PART.replace("{version}", "new"))
        os.kill(first, signal.SIGKILL)
        assert lines.readline().startswith("a was killed by SIGKILL; starting it again")
        second = int(lines.readline().removeprefix(" a | loaded by "))
        assert second == _id_of(lines.readline(), "new")
        assert len({process.pid, loader, first, second}) == 4
        assert [child.status() for child in _others(process, second)] == []
        process.send_signal(signal.SIGTERM)
        assert lines.read() == "\nStopping …\n"
        assert process.wait(180) == 0


def _others(process: subprocess.Popen[str], part: int) -> list[psutil.Process]:
    """Return its children but the part that runs and the guard."""
    children = psutil.Process(process.pid).children()
    return [child for child in children if child.pid != part and not _is_guard(child)]


def _is_guard(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return any("process_groups" in word for word in process.cmdline())
    return False


@contextmanager
def forking(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run FORK for the block; the guard stops what is left of it where the block fails."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORK, str(folder / "lock"), str(folder)],
        cwd=config.ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def _id_of(line: str, version: str) -> int:
    """Return the id of the process that said this."""
    _, _, said, process_id = line.split()
    assert said == version
    return int(process_id)
