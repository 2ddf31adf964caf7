"""Several processes of one program: real ones, of the web, which are killed and stopped."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from tests.conftest import deployed
from tests.free_ports import free_port
from tests.platform_process import PlatformProcess, without_settings
from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app import config

# Asked to stop just while it starts a process, which is when a request is most easily missed.
ASKED_WHILE_STARTING = """
import os, signal
from webhooks_app.jobs import child_process, prefork

fork, started = child_process.fork, []

def fork_and_be_asked(act):
    started.append(fork(act))
    if len(started) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return started[-1]

child_process.fork = fork_and_be_asked
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as the supervisor and a shell's `&` leave it
prefork.Prefork("any", 3, signal.pause, when_stopping=lambda: print("stopping")).supervise()
print(len(started), "over")
"""
# Asked to stop when it has just collected a process that ended, while the other one still runs.
ASKED_WHILE_COLLECTING = """
import os, signal, sys
from webhooks_app.jobs import prefork

wait, collected = os.waitpid, []

def wait_and_be_asked(*which):
    pid, status = wait(*which)
    if pid:
        collected.append(pid)
        if len(collected) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
    return pid, status

def run():
    if not os.path.exists(sys.argv[1]):
        open(sys.argv[1], "x").close()
        os._exit(0)
    signal.pause()

prefork.os.waitpid = wait_and_be_asked
prefork.Prefork("any", 2, run).supervise()
print(len(collected), "over")
"""
# Asked to stop in a way that interrupts no system call of the thread that supervises.
ASKED_UNNOTICED = """
import os, signal, threading, time
from webhooks_app.jobs import prefork

started, fork = [], prefork.child_process.fork

def fork_and_note(act):
    started.append(fork(act))
    return started[-1]

def ask():
    while not started:
        time.sleep(0.01)
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

prefork.child_process.fork = fork_and_note
threading.Thread(target=ask).start()
prefork.Prefork("any", 1, signal.pause).supervise()
print("over")
"""
# Asked to stop when it is about to start its first process.
ASKED_BEFORE_STARTING = """
import os, signal
from webhooks_app.jobs import prefork

class Asked(prefork.Prefork):
    def _start_missing(self):
        os.kill(os.getpid(), signal.SIGTERM)
        super()._start_missing()

Asked("any", 3, signal.pause).supervise()
print("over")
"""


@contextmanager
def web(environ: dict[str, str], *, errors: Path | None = None) -> Iterator[PlatformProcess]:
    process = PlatformProcess("web", environ=without_settings() | environ, errors=errors)
    try:
        yield process
    finally:
        for each in children(process):
            each.kill()
        process.kill()
        process.wait(30)
        output_of(process).close()


def children(process: PlatformProcess) -> list[psutil.Process]:
    try:
        return [
            each for each in psutil.Process(process.pid).children() if each.status() != psutil.STATUS_ZOMBIE
        ]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def environ(sqlite_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    own = {"PORT": str(free_port()), "WEBHOOKS_WEB_PROCESSES": "2"}
    return deployed(sqlite_url, redis_url, tmp_path) | own


@pytest.fixture
def pair(environ: dict[str, str]) -> Iterator[PlatformProcess]:
    with web(environ) as process:
        assert [output_of(process).readline() for _ in range(2)] == ["ready\n"] * 2
        yield process


def answers(environ: dict[str, str]) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{environ['PORT']}/login", timeout=30).status_code == 200
    except requests.ConnectionError:
        return False


def test_each_process_answers_and_one_that_dies_is_replaced(
    pair: PlatformProcess, environ: dict[str, str]
) -> None:
    first, second = children(pair)
    for killed, left in ((first, second), (second, None)):
        killed.kill()
        assert output_of(pair).readline() == "ready\n"
        assert answers(environ)
        wait_for(lambda: len(children(pair)) == 2)
        assert left is None or left in children(pair)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_ends_all_of_them(
    pair: PlatformProcess, environ: dict[str, str], number: signal.Signals
) -> None:
    both = children(pair)
    pair.send_signal(number)
    assert pair.wait(30) == 0
    wait_for(lambda: not any(each.is_running() for each in both))
    assert not answers(environ)


def test_they_end_when_the_process_that_started_them_is_killed(
    pair: PlatformProcess, environ: dict[str, str]
) -> None:
    both = children(pair)
    pair.kill()
    wait_for(lambda: not any(each.is_running() for each in both))
    assert not answers(environ)


def test_an_address_that_is_taken_ends_it_with_one_line(
    pair: PlatformProcess, environ: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "webhooks_app", "web"],
        cwd=config.ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == os.EX_CONFIG
    assert re.fullmatch(r"error: Cannot listen on 127\.0\.0\.1:\d+: Address already in use\.\n", done.stderr)


def supervised(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=config.ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_stop_that_comes_while_a_process_starts_reaches_that_process() -> None:
    done = supervised(ASKED_WHILE_STARTING)
    # The second process was told to stop too; the third was not started any more.
    assert done.stdout == "stopping\n2 over\n", done.stderr


def test_a_stop_that_comes_while_an_ended_process_is_collected_reaches_the_others(tmp_path: Path) -> None:
    done = supervised(ASKED_WHILE_COLLECTING, str(tmp_path / "ended"))
    assert (done.stdout, done.stderr) == ("2 over\n", "")


def test_a_stop_that_interrupts_no_system_call_is_noticed() -> None:
    done = supervised(ASKED_UNNOTICED)
    assert (done.stdout, done.stderr) == ("over\n", "")


def test_a_stop_that_comes_before_any_process_was_started_ends_it() -> None:
    done = supervised(ASKED_BEFORE_STARTING)
    assert (done.stdout, done.stderr) == ("over\n", "")
