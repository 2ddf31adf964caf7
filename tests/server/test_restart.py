"""SIGHUP: the web loads its code anew while clients go on asking, in real processes."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select, text

from tests.conftest import Workspace, deployed
from tests.free_ports import free_port
from tests.jobs.test_prefork import children, web
from tests.platform_process import PlatformProcess
from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Event
from webhooks_app.extensions import db

pytestmark = pytest.mark.long
# Long enough that both processors are not busy with requests while new code is loaded; some meet a restart
# between two requests then, and some within one.
PAUSE_SECONDS = 0.01
# Less than a web that leaves waits for its clients' next requests, and more than a client takes unless it
# stands still.
LONG_PAUSE_SECONDS = 2.0
BODY = json.dumps({"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "queued"}})


# Two processes that serve, one after the other, and are ready; this one stands for what served meanwhile.
DISMISSES_ITSELF = """
import os, signal, socket
from webhooks_app.jobs import child_process
from webhooks_app.server.restart import LEAVE_SIGNAL, Restart
asked = []
signal.signal(LEAVE_SIGNAL, lambda *_: asked.append(LEAVE_SIGNAL))
restart = Restart(socket.socket(), {"_AVRA_STAND_IN": str(os.getpid())})
for _ in range(2):
    os.waitpid(child_process.fork(restart.dismiss), 0)
print(len(asked))
"""


class SteadyClient:
    """Sends one event after the other on a kept connection, and notes each answer, or how it failed."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers: list[int | str] = []

    def __enter__(self) -> "SteadyClient":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        answered_at = time.monotonic()
        while not self._is_over.is_set():
            try:
                connection.request("POST", "/api/v1/events", BODY, self._headers)
                response = connection.getresponse()
                response.read()  # closes the connection where the answer says so; the next request opens one
                self.answers.append(response.status)
                answered_at = time.monotonic()
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() - answered_at < LONG_PAUSE_SECONDS:
                    self.answers.append(repr(error))
                connection.close()
            self._is_over.wait(PAUSE_SECONDS)
        connection.close()


@pytest.fixture
def environ(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    return deployed(database_url, redis_url, tmp_path) | {"PORT": str(free_port())}


@pytest.fixture(params=[1, 2])
def processes(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def running(environ: dict[str, str], processes: int, errors: Path) -> Iterator[PlatformProcess]:
    with web(environ | {"WEBHOOKS_WEB_PROCESSES": str(processes)}, errors=errors) as process:
        await_ready(process, processes)
        yield process


@pytest.fixture
def errors(tmp_path: Path) -> Path:
    return tmp_path / "errors"


def await_ready(process: PlatformProcess, count: int) -> None:
    assert [output_of(process).readline() for _ in range(count)] == ["ready\n"] * count


def assert_accepted(answers: list[int | str], errors: Path) -> None:
    """All were, but for those that a process could not ask its database for in time, and said so."""
    is_said = any(word in errors.read_text() for word in ("database_unavailable", "all_threads_busy"))
    possible = {202, 503} if is_said else {202}
    assert 202 in answers
    assert set(answers) <= possible


def count_events() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Event)) or 0


def test_what_served_meanwhile_is_dismissed_once_however_many_processes_are_ready() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DISMISSES_ITSELF], capture_output=True, text=True, timeout=300
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_restart_under_load_refuses_and_loses_nothing(
    workspace: Workspace,
    running: PlatformProcess,
    environ: dict[str, str],
    processes: int,
    errors: Path,
) -> None:
    before = psutil.Process(running.pid).children(recursive=True)
    clients = [SteadyClient(int(environ["PORT"]), workspace.token) for _ in range(4)]
    for client in clients:
        client.__enter__()
    wait_for(lambda: all(len(client.answers) > 20 for client in clients))
    for _ in range(2):
        running.send_signal(signal.SIGHUP)
        await_ready(running, processes)  # the same process says so again, with its code loaded anew
        answered = [len(client.answers) for client in clients]
        wait_for(lambda: _have_gone_on(clients, answered))  # noqa: B023
        wait_for(lambda: len(children(running)) == (0 if processes == 1 else processes))
    for client in clients:
        client.__exit__()

    answers = [answer for client in clients for answer in client.answers]
    assert_accepted(answers, errors)
    assert count_events() == answers.count(202)
    assert not any(each.is_running() for each in before)
    running.send_signal(signal.SIGTERM)
    assert running.wait(120) == 0
    assert "Traceback" not in errors.read_text()


def _have_gone_on(clients: list[SteadyClient], answered: list[int]) -> bool:
    return all(len(client.answers) > count + 5 for client, count in zip(clients, answered, strict=True))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_the_new_code_does_not_start_the_old_goes_on(
    workspace: Workspace,
    database: WriteDatabase,
    running: PlatformProcess,
    environ: dict[str, str],
    processes: int,
    errors: Path,
) -> None:
    [revision] = db.session.scalars(text("SELECT version_num FROM alembic_version")).all()
    _set_revision(database, "0001")
    began_at = psutil.Process(running.pid).create_time()
    with SteadyClient(int(environ["PORT"]), workspace.token) as client:
        running.send_signal(signal.SIGHUP)
        wait_for(lambda: "web_restart_failed" in errors.read_text())
        wait_for(lambda: len(children(running)) == (0 if processes == 1 else processes))
        answered = [len(client.answers)]
        wait_for(lambda: _have_gone_on([client], answered))
        _set_revision(database, revision)
        running.send_signal(signal.SIGHUP)
        await_ready(running, processes)
    assert_accepted(client.answers, errors)
    assert psutil.Process(running.pid).create_time() == began_at


def _set_revision(database: WriteDatabase, revision: str) -> None:
    db.session.rollback()
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
