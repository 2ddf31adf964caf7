"""What loads for others and forks them, in real processes; with a supervisor, in test_supervisor.py."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.living import is_alive
from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app import config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked from a loader")

# Loads a module that says in which process it is loaded; what is forked says whether it has it.
PROGRAM = """
import os, signal, sys
from webhooks_app.jobs import adoption
from webhooks_app.jobs.orphan_guard import Announcement
from webhooks_app.jobs.fork_loader import Loader

def load():
    {load}
    return "loaded\\n" * 100_000

def says():
    print("this" in sys.modules, os.environ["GIVEN"])
    sys.exit(3)

def fork(name):
    return loader.fork(name, {{"GIVEN": "yes"}}, Announcement(announcements, 1))

assert adoption.adopt_orphans()
loader = Loader(load, {{"says": says, "waits": signal.pause}})
announced, announcements = os.pipe()
{then}
"""
LOAD = "import contextlib, io\n    with contextlib.redirect_stdout(io.StringIO()):\n        import this"


def program(*, load: str = LOAD, then: str = "") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(load=load, then=then)]


def printed(*, load: str = LOAD, then: str = "", status: int = 0) -> list[str]:
    """Return the lines of a program that makes a loader and does `then`."""
    done = subprocess.run(
        program(load=load, then=then), cwd=config.ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return done.stdout.splitlines()


def test_what_it_forks_has_what_was_loaded_and_becomes_a_child_of_who_asked() -> None:
    then = """
first, second = fork("says"), fork("waits")
loader.end()
print(loader.answer == "loaded\\n" * 100_000, fork("says"), fork("unknown"))
print(first.stdout.readall(), first.wait(), second.poll())
print(os.read(announced, 100) == b"1 %d\\n1 %d\\n" % (first.pid, second.pid))
os.killpg(second.pid, signal.SIGTERM)
print(second.wait(), "this" in sys.modules)
"""
    assert printed(then=then) == [
        "True None None",
        "b'True yes\\n' 3 None",
        "True",
        "-15 False",
    ]


def test_requests_to_stop_do_not_end_it_before_it_has_answered() -> None:
    then = """
for number in (signal.SIGINT, signal.SIGTERM):
    os.kill(loader.pid, number)
process = fork("waits")
loader.end()
os.kill(process.pid, signal.SIGINT)
print(process.wait())
"""
    assert printed(then=then) == ["-2"]


def test_one_that_was_killed_forks_nothing() -> None:
    then = "os.kill(loader.pid, signal.SIGKILL)\nprint(fork('says'), fork('says'))\nloader.end()"
    assert printed(then=then) == ["None None"]


def test_what_one_that_was_killed_has_forked_unsaid_is_ended_and_nothing_else() -> None:
    dies_upon_its_second = """forks = []
    def strike():
        if len(forks) == 2:
            os.kill(os.getppid(), signal.SIGKILL)
    os.register_at_fork(before=lambda: forks.append(1), after_in_child=strike)"""
    then = """
known, executed = fork("waits"), os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
print(fork("waits"), fork("says"))
first, second, withdrawn = os.read(announced, 100).splitlines()
print(first == b"1 %d" % known.pid, withdrawn == second.replace(b"1", b"-", 1))
print(adoption.children() == {known.pid, executed})
print(known.poll(), os.waitpid(executed, os.WNOHANG))
for pid in (known.pid, executed):
    os.kill(pid, signal.SIGKILL)
loader.end()
"""
    assert printed(load=dies_upon_its_second, then=then) == ["None None", "True True", "True", "None (0, 0)"]


@pytest.mark.parametrize(("end", "status"), [("sys.exit(78)", 78), ("1 / 0", 1)])
def test_loading_that_fails_ends_who_waits_for_it_with_its_status(end: str, status: int) -> None:
    assert printed(load=end, then="print('goes on')", status=status) == []


def test_one_that_is_killed_while_it_loads_is_replaced(tmp_path: Path) -> None:
    once = f"""import pathlib
    try:
        pathlib.Path({str(tmp_path / "once")!r}).touch(exist_ok=False)
    except FileExistsError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGKILL)"""
    assert printed(load=once, then="loader.end()\nprint('goes on')") == ["goes on"]


@contextmanager
def loading() -> Iterator[subprocess.Popen[str]]:
    """Run a program whose loader says its id and never ends loading."""
    process = subprocess.Popen(
        program(load="print(os.getpid(), flush=True); signal.pause()"),
        cwd=config.ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_it_ends_with_who_waits_for_it() -> None:
    with loading() as process, output_of(process) as lines:
        loader = int(lines.readline())
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: not is_alive(loader))
