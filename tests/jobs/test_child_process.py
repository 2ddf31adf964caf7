"""What a child does for the process that forked it, in real processes."""

import subprocess
import sys

import pytest

from tests.living import is_alive
from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app import config

IMPORTS = "import os, signal, sys; from webhooks_app.jobs.child_process import do_in_child\n"


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", IMPORTS + program],
        cwd=config.ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_what_a_child_did_and_printed_is_there_once() -> None:
    done = run("print('before'); do_in_child(lambda: print('child')); print('after')")
    assert (done.stdout.split(), done.returncode) == (["before", "child", "after"], 0)


def test_what_it_returned_comes_back_however_long_it_is() -> None:
    done = run("print(do_in_child(lambda: 'é' * 200_000) == 'é' * 200_000)")
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(("end", "status"), [("sys.exit(78)", 78), ("sys.exit('a line')", 1), ("1 / 0", 1)])
def test_a_child_that_fails_ends_the_process_that_forked_it(end: str, status: int) -> None:
    done = run(f"do_in_child(lambda: {end}); print('after')")
    assert (done.stdout, done.returncode) == ("", status)
    assert ("ZeroDivisionError" in done.stderr) == (end == "1 / 0")


def test_a_child_that_is_killed_is_replaced() -> None:
    program = """
import tempfile
seen = tempfile.NamedTemporaryFile()

def be_killed_once():
    if not os.path.getsize(seen.name):
        os.write(seen.fileno(), b"killed")
        os.kill(os.getpid(), signal.SIGKILL)
    print("done")

do_in_child(be_killed_once)
"""
    done = run(program)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_a_child_ends_with_the_process_that_forked_it() -> None:
    program = "do_in_child(lambda: (print(os.getpid(), flush=True), signal.pause()))"
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTS + program], cwd=config.ROOT, stdout=subprocess.PIPE, text=True
    )
    with output_of(process) as lines:
        child = int(lines.readline())
        process.kill()
        process.wait(30)
        wait_for(lambda: not is_alive(child))
