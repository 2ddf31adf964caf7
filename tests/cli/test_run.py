"""`make run` as its user meets it: real processes, from the first line printed to the last one ended."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import requests
from flask import Flask
from redis import Redis
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus
from rq_scheduler import Scheduler

from tests.conftest import new_engine
from tests.free_ports import free_port
from tests.reading import output_of
from tests.waiting import wait_for
from webhooks_app import config
from webhooks_app.config import Settings
from webhooks_app.jobs.delivery_worker import DeliveryWorker
from webhooks_app.jobs.task_jobs import SWEEP_ID, TaskJob

ROOT = config.ROOT
# A busy machine that has to compile every module of the dependencies first takes this long to be ready.
PATIENCE_SECONDS = 180
# Long enough to see that something waits, on a machine that may stand still meanwhile; and too short to.
LONG_DELAYS, SHORT_DELAYS = "20,600", ",".join(["5"] * 9)


def environment(instance: Path, port: int, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in config.NAMES}
    return kept | {"WEBHOOKS_INSTANCE": str(instance), "PORT": str(port)} | more


@dataclass
class Platform:
    """One folder that the platform runs from, and its processes while it does."""

    instance: Path
    port: int
    command: Sequence[str] = (sys.executable, "-m", "webhooks_app")
    folder: Path = ROOT
    retry_delays: str = ""
    output: list[str] = field(default_factory=list)
    said_at_start: str = ""
    started: subprocess.Popen[str] | None = None
    family: list[psutil.Process] = field(default_factory=list)

    def start(self) -> None:
        self.output = []
        self.started = subprocess.Popen(
            [*self.command, "run"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # the tests' own Ctrl-C is not its
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        wait_for(lambda: self.is_ready or self.process.poll() is not None, PATIENCE_SECONDS)
        assert self.is_ready, self.text
        self.said_at_start = self.text
        self.family = [psutil.Process(self.process.pid)]
        self.family += self.family[0].children(recursive=True)

    def _read(self, process: subprocess.Popen[str]) -> None:
        with output_of(process) as lines:
            self.output.extend(iter(lines.readline, ""))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit status."""
        self.process.send_signal(number)
        return self.process.wait(180)

    def clean_up(self) -> None:
        for process in self.family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self.started is not None:
            self.process.kill()  # it has no family yet where it was never ready
            self.process.wait(30)

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self.started is not None
        return self.started

    @property
    def environment(self) -> dict[str, str]:
        more = {"WEBHOOKS_RETRY_DELAYS": self.retry_delays} if self.retry_delays else {}
        return environment(self.instance, self.port, **more)

    @property
    def text(self) -> str:
        return "".join(self.output)

    @property
    def is_ready(self) -> bool:
        return "Ready." in self.text

    @property
    def settings(self) -> Settings:
        return config.read(environment(self.instance, self.port))

    @property
    def is_answering(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/healthz/web", timeout=180).status_code == 200
        return False

    def redis(self) -> Redis:
        return Redis.from_url(self.settings.redis_url)

    def alive(self, *words: str) -> list[psutil.Process]:
        """Its processes that live, of those whose command line has the words."""
        found = [process for process in self.family if _is_alive(process)]
        return [process for process in found if all(word in _command_line(process) for word in words)]

    def suspend_workers(self) -> bool:
        """Whether they are; none is where one of them holds SQLite's lock, for which the web would wait."""
        workers = self.alive("avra worker")
        for process in workers:
            process.suspend()
        if self._can_write():
            return True
        for process in workers:
            process.resume()
        return False

    @contextmanager
    def without_sweeps(self) -> Iterator[None]:
        """No sweep runs in the block, so that all that is sent in it has a wake-up of its own."""
        [scheduler] = self.alive("avra scheduler")
        scheduler.suspend()
        try:
            with self.redis() as redis:
                wait_for(lambda: not TaskJob.exists(f"{SWEEP_ID}-now", connection=redis))
            yield
        finally:
            scheduler.resume()

    def _can_write(self) -> bool:
        with closing(sqlite3.connect(self.instance / "webhooks.db", timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
        return True

    def grown(self) -> list[psutil.Process]:
        """All its processes by now, those started later included."""
        self.family += [child for child in self.family[0].children(True) if child not in self.family]
        return self.family

    def rows(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        address = f"file:{quote(str(self.instance))}/webhooks.db?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            return connection.execute(statement, values).fetchall()

    def deliveries(self, event_id: str) -> list[tuple[str, str, int]]:
        return self.rows("SELECT id, state, attempt_count FROM deliveries WHERE event_id = ?", event_id)

    def curl(self, tmp_path: Path) -> dict[str, Any]:
        """Pastes the printed command into a shell as it stands; the answer with its status."""
        [command] = re.findall(r"^curl \S+/api/v1/events(?:.*\\\n)+.*\n", self.text, re.MULTILINE)
        (tmp_path / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n')
        done = subprocess.run(
            ["sh", "-c", command],
            env=os.environ | {"CURL_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        body, status = done.stdout.rstrip().rsplit("\n", 1)
        answer: dict[str, Any] = json.loads(body)
        return answer | {"status": int(status)}

    def tell_consumer(self, mode: str) -> None:
        response = requests.post(f"http://127.0.0.1:{self.port + 1}/mode", data=mode, timeout=180)
        assert response.text == f"mode: {mode}\n"


def _command_line(process: psutil.Process) -> str:
    """With a space behind the last word, too."""
    return " ".join(process.cmdline()).rstrip() + " "


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for the tests that leave it running as they found it."""
    folder = tmp_path_factory.mktemp("run")
    platform = Platform(folder / "instance", free_port(), retry_delays=LONG_DELAYS)
    platform.start()
    yield platform
    platform.clean_up()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """One that its test may break."""
    platform = Platform(tmp_path / "instance", free_port(), retry_delays=SHORT_DELAYS)
    platform.start()
    yield platform
    platform.clean_up()


def refused(instance: Path, port: int, **more: str) -> str:
    """The one line that a start is refused with."""
    done = subprocess.run(
        [sys.executable, "-m", "webhooks_app", "run"],
        cwd=ROOT,
        env=environment(instance, port, **more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_it_prints_where_to_go_and_nothing_to_worry_about(running: Platform) -> None:
    lines = running.said_at_start.split("Ready.")[0].splitlines()
    assert f"  Console   http://127.0.0.1:{running.port}" in lines
    assert any(re.fullmatch(r"  Log in    admin@example\.com  \S{16}", line) for line in lines)
    assert not re.search("warning|error|traceback", running.said_at_start, re.IGNORECASE)
    assert len(lines) < 25


def test_the_printed_log_in_works(running: Platform) -> None:
    [(email, password)] = re.findall(r"Log in +(\S+) +(\S+)", running.text)
    with requests.Session() as session:
        page = session.get(f"http://127.0.0.1:{running.port}/", timeout=180)
        [token] = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        form = {"email": email, "password": password, "csrf_token": token}
        answer = session.post(page.url, data=form, timeout=180)
    assert answer.status_code == 200
    assert "/login" not in answer.url


def test_the_printed_curl_is_delivered_at_once(running: Platform, tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []

    def is_delivered() -> bool:  # a Redis that a busy machine lets wait is left out, by one of them
        if len(answers) < 3 and time.monotonic() > began + 30 * len(answers):
            answers.append(running.curl(tmp_path))
            assert (answers[-1]["status"], answers[-1]["deliveries"]) == (202, 1)
        return running.deliveries(answers[0]["id"])[0][1] == "delivered"

    with running.without_sweeps():
        began = time.monotonic()
        wait_for(is_delivered)
    answer = answers[0]
    [(delivery_id, _, _)] = running.deliveries(answer["id"])
    wait_for(lambda: f"{delivery_id} verified, accepted: batch-lifecycle {answer['id']}" in running.text)


def test_a_failure_waits_in_rq_scheduler_and_is_sent_again(running: Platform, tmp_path: Path) -> None:
    running.tell_consumer("500")
    answer = running.curl(tmp_path)
    wait_for(lambda: running.deliveries(answer["id"])[0][2] == 1)
    running.tell_consumer("ok")

    [(delivery_id, state, _)] = running.deliveries(answer["id"])
    assert state == "pending"
    with running.redis() as redis:
        scheduled = {name.decode() for name in redis.zrange(Scheduler.scheduled_jobs_key, 0, -1)}
    assert [name for name in scheduled if name.startswith("due-")]
    wait_for(lambda: running.deliveries(answer["id"])[0][1] == "delivered")
    attempts = running.rows(
        "SELECT status, started_at FROM attempts WHERE delivery_id = ? ORDER BY started_at", delivery_id
    )
    assert [status for status, _ in attempts] == [500, 200]
    # The first delay, give or take a tenth, then up to a second for the scheduled job and one for its
    # scheduler; a busy machine takes longer, and the next delay is ten minutes.
    assert 17_000_000 < attempts[1][1] - attempts[0][1] < 120_000_000


def test_a_second_start_from_the_same_folder_is_refused(running: Platform) -> None:
    line = refused(running.instance, free_port())
    assert f"already runs from {running.instance} (process {running.process.pid}); stop" in line


def test_a_taken_port_is_refused(running: Platform, tmp_path: Path) -> None:
    line = refused(tmp_path / "other", running.port)
    assert line == (
        f"error: Cannot listen on 127.0.0.1:{running.port} (Address already in use); set PORT to another."
    )


def test_a_port_whose_next_one_is_taken_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        line = refused(tmp_path / "other", port)
        assert f"on 127.0.0.1:{port + 1}, the demo consumer's, one above PORT, (" in line


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WEBHOOKS_WORKRES", "2", "WEBHOOKS_WORKRES is not a setting"),
        ("WEBHOOKS_WORKERS", "many", "WEBHOOKS_WORKERS must be a whole number from 1 to 64, not 'many'"),
        ("PORT", "80x", "PORT must be a whole number from 1 to 65535, not '80x'"),
        ("PORT", "65535", "Cannot listen on 127.0.0.1:65536, the demo consumer's"),
        ("WEBHOOKS_HOST", "nowhere.invalid", "Cannot listen on nowhere.invalid:"),
        ("PORT", " 8000 ", "PORT must be a whole number from 1 to 65535, not ' 8000 '"),
        ("DATABASE_URL", "mysql://db/avra", "DATABASE_URL must look like postgresql://"),
        (
            "WEBHOOKS_INSTANCE",
            "/dev/null/avra",
            "'/dev/null/avra' cannot be written (Not a directory)",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    tmp_path: Path, name: str, value: str, expected: str
) -> None:
    assert expected in refused(tmp_path / "instance", free_port(), **{name: value})


def test_a_database_that_does_not_answer_is_named_in_one_line(tmp_path: Path) -> None:
    line = refused(
        tmp_path / "instance",
        free_port(),
        DATABASE_URL=f"postgresql://avra:s3cret@127.0.0.1:{free_port()}/avra",
        SECRET_KEY="0123456789abcdef0123456789abcdef",
        WEBHOOKS_ENCRYPTION_KEYS="MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    )
    assert "The database does not answer" in line
    assert "s3cret" not in line


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process has a command of its own")
def test_what_is_forked_has_a_name_and_its_web_loads_its_code_anew_upon_sighup(
    running: Platform, tmp_path: Path
) -> None:
    [supervisor, web, worker, scheduler] = [
        running.alive(part)[0] for part in (" run ", "avra web", "avra worker", "avra scheduler")
    ]
    assert {process.ppid() for process in (web, worker, scheduler)} == {supervisor.pid}

    web.send_signal(signal.SIGHUP)

    wait_for(lambda: running.alive("-m webhooks_app web") == [web], PATIENCE_SECONDS)
    wait_for(lambda: " web       | ready\n" in running.text, PATIENCE_SECONDS)
    wait_for(lambda: running.is_answering)
    answer = running.curl(tmp_path)
    wait_for(lambda: running.deliveries(answer["id"])[0][1] == "delivered")
    assert "web was killed" not in running.text


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process has a command of its own")
def test_who_only_watches_has_loaded_nothing_of_what_the_others_share(running: Platform) -> None:
    [supervisor], [guard], [scheduler] = map(running.alive, (" run ", "process_groups", " scheduler "))
    assert [_libraries(process) for process in (supervisor, guard, scheduler)] == [
        set(),
        set(),
        {"pycurl", "cryptography"},
    ]


def _libraries(process: psutil.Process) -> set[str]:
    """Return which of these libraries the process has in its memory."""
    paths = [mapping.path for mapping in process.memory_maps()]
    return {name for name in ("pycurl", "cryptography") if any(name in path for path in paths)}


def test_ctrl_c_stops_every_process_and_the_next_start_goes_on(platform: Platform, tmp_path: Path) -> None:
    platform.tell_consumer("503")
    answer = platform.curl(tmp_path)
    wait_for(lambda: platform.deliveries(answer["id"])[0][2] >= 1)

    assert platform.stop(signal.SIGINT) == 0

    assert platform.alive() == []
    assert "\nStopping …\n" in platform.text
    assert "Traceback" not in platform.text
    [(_, state, before)] = platform.deliveries(answer["id"])
    assert state == "pending"

    platform.start()
    wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered", PATIENCE_SECONDS)
    assert platform.deliveries(answer["id"])[0][2] > before


def test_an_event_accepted_without_workers_is_delivered_by_the_next_start(
    platform: Platform, tmp_path: Path
) -> None:
    wait_for(platform.suspend_workers)
    answer = platform.curl(tmp_path)
    assert answer["status"] == 202
    for process in platform.family:
        process.kill()
    wait_for(lambda: platform.alive() == [])
    assert platform.deliveries(answer["id"])[0][1:] == ("pending", 0)
    platform.process.wait(30)

    platform.start()
    wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered")


def test_a_killed_run_leaves_nothing_that_delays_the_next(platform: Platform, tmp_path: Path) -> None:
    with platform.redis() as redis:
        wait_for(lambda: redis.set(Scheduler.scheduler_lock_key, "1", ex=600, nx=True))
    platform.process.kill()  # the supervisor alone: what it started must notice
    platform.process.wait(30)
    platform.start()

    platform.tell_consumer("500")
    answer = platform.curl(tmp_path)
    wait_for(lambda: platform.deliveries(answer["id"])[0][2] >= 1)
    platform.tell_consumer("ok")
    wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered")


PARTS = {
    "worker": " worker ",
    "redis": "redis-server",
    "scheduler": " scheduler ",
    "web": " web ",
    "guard": "process_groups",
}


def test_each_part_that_is_killed_is_started_again(platform: Platform, tmp_path: Path) -> None:
    for name, command in PARTS.items():
        platform.alive(command)[0].kill()

        wait_for(lambda: f"{name} was killed by SIGKILL; " in platform.text)  # noqa: B023
        wait_for(lambda: platform.is_answering)
        answer = platform.curl(tmp_path)
        wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered", PATIENCE_SECONDS)  # noqa: B023
        wait_for(lambda: platform.grown() and platform.alive(command))  # noqa: B023
    assert platform.stop() == 0
    wait_for(lambda: platform.alive() == [])


def test_the_demo_follows_its_port(platform: Platform, tmp_path: Path) -> None:
    platform.stop()
    platform.port = free_port()
    platform.start()

    answer = platform.curl(tmp_path)
    wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered")


def test_a_folder_with_a_long_and_odd_name_works(tmp_path: Path) -> None:
    folder = tmp_path.joinpath("100 % long " * 12, "a b=c?#%:ü'\"$x;&|*[]\\", "new\nline", "-x")
    platform = Platform(folder / "instance", free_port())
    try:
        platform.start()
        answer = platform.curl(tmp_path)
        wait_for(lambda: platform.deliveries(answer["id"])[0][1] == "delivered")
        assert platform.stop() == 0
    finally:
        platform.clean_up()


@pytest.mark.usefixtures("signal_handlers")
def test_a_request_to_stop_at_the_end_of_a_job_is_not_missed(app: Flask, redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis, new_engine(app) as engine:
        worker = DeliveryWorker("tester", redis, engine=engine, queue_name="nobody-writes-here")
        worker.register_birth()
        worker.set_state(WorkerStatus.BUSY)
        worker.request_stop(signal.SIGTERM, None)  # BUSY: rq notes it and leaves the job to finish
        with pytest.raises(StopRequested):
            worker.dequeue_job_and_maintain_ttl(worker.dequeue_timeout)
