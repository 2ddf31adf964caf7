"""Processes of the platform and a Redis that is not as it should be: what they say, and when they go on."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from rq_scheduler import Scheduler
from sqlalchemy import select

from tests.cli.test_run import environment
from tests.conftest import Workspace, deployed
from tests.free_ports import free_port
from tests.platform_process import PlatformProcess
from tests.receivers import Answer, Receiver, answer_after
from tests.redis_servers import client, redis_server
from tests.waiting import wait_for
from webhooks_app.db.models import Attempt, PendingDelivery
from webhooks_app.extensions import db
from webhooks_app.jobs.redis_check import COMMANDS

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Process:
    """`python -m webhooks_app COMMAND`, with what it prints in a file."""

    def __init__(self, command: str, environ: dict[str, str], folder: Path) -> None:
        self.output = folder / f"{command}.txt"
        self.output.unlink(missing_ok=True)
        environ = environ | {"PYTHONUNBUFFERED": "1"}
        self.process = PlatformProcess(command, environ=environ, output=self.output)

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines() if self.output.exists() else []

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)

    @property
    def problems(self) -> list[str]:
        """What it said of Redis since that was well; of a busy one, that it was slow just then."""
        lines = self.lines
        begin = max((at for at, line in enumerate(lines) if "redis_available" in line), default=0)
        return [line for line in lines[begin:] if "redis_unavailable" in line]

    def wait_until_ready(self) -> None:
        wait_for(lambda: "ready" in self.lines or self.process.poll() is not None, 120)
        assert self.process.poll() is None, self.lines


@contextmanager
def running(command: str, environ: dict[str, str], folder: Path) -> Iterator[Process]:
    started = Process(command, environ, folder)
    try:
        yield started
    finally:
        started.process.terminate()
        try:
            started.process.wait(180)
        finally:
            started.process.kill()


def environ_for(database_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    return environment(
        folder / "instance", free_port(), **deployed(database_url, redis_url, folder / "instance")
    )


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path / "redis") as (port, _), client(port) as redis:
        yield redis


def port_of(admin: Redis) -> int:
    return int(admin.connection_pool.connection_kwargs["port"])


SLOW = "Redis does not answer"
CONFIG, UNAVAILABLE = os.EX_CONFIG, os.EX_UNAVAILABLE


@on_sqlite
@pytest.mark.parametrize("command", ["worker", "scheduler", "run"])
def test_a_setting_that_has_to_be_changed_ends_the_start_with_one_line(
    database_url: str, admin: Redis, tmp_path: Path, command: str
) -> None:
    admin.config_set("requirepass", "secret")
    environ = environ_for(database_url, f"redis://:wrong@127.0.0.1:{port_of(admin)}", tmp_path)
    with running(command, environ, tmp_path) as started:
        assert started.process.wait(120) == CONFIG
        assert started.lines == ["error: Redis refuses the user name or password of REDIS_URL."]


@on_sqlite
@pytest.mark.parametrize("path", ["/zz", "?foo=1"])
@pytest.mark.parametrize("command", ["web", "worker", "scheduler", "run"])
def test_a_redis_url_with_what_is_not_known_ends_the_start_with_one_line(
    database_url: str, tmp_path: Path, command: str, path: str
) -> None:
    environ = environ_for(database_url, f"redis://:secret@127.0.0.1:{free_port()}{path}", tmp_path)
    with running(command, environ, tmp_path) as started:
        assert started.process.wait(120) == CONFIG
        assert started.count("error: REDIS_URL ") == 1
        assert "secret" not in "".join(started.lines)


@on_sqlite
def test_a_redis_that_is_away_ends_the_start_after_a_while_with_one_line(
    database_url: str, tmp_path: Path
) -> None:
    environ = environ_for(database_url, f"redis://127.0.0.1:{free_port()}", tmp_path)
    with running("run", environ, tmp_path) as started:
        assert started.process.wait(120) == UNAVAILABLE
        assert started.lines == [
            "error: Redis cannot be reached: Connection refused, for 5 seconds; see REDIS_URL."
        ]


@pytest.mark.long
@on_sqlite
def test_a_user_who_may_send_what_is_listed_and_nothing_else_is_enough(
    workspace: Workspace, receiver: Receiver, database_url: str, admin: Redis, tmp_path: Path
) -> None:
    rights = ["-@all", *(f"+{name}" for name in sorted(COMMANDS))]
    admin.acl_setuser("app", enabled=True, passwords=["+pw"], keys=["rq:*", "webhooks:*"], commands=rights)
    environ = environ_for(database_url, f"redis://app:pw@127.0.0.1:{port_of(admin)}", tmp_path)
    environ["WEBHOOKS_RETRY_DELAYS"] = "1,1,1,1,1"
    receiver.answer = lambda request: Answer(status=500 if len(receiver.received) < 3 else 200)
    workspace.endpoint(receiver.url)
    with running("scheduler", environ, tmp_path) as scheduler, running("worker", environ, tmp_path) as worker:
        scheduler.wait_until_ready()
        worker.wait_until_ready()
        workspace.send()
        wait_for(lambda: _is_delivered(), 60)
        wait_for(lambda: admin.zscore(Scheduler.scheduled_jobs_key, "sweep"))
    # A busy one may have been slow to answer.
    said = [line for line in worker.lines + scheduler.lines if "redis_unavailable" in line]
    assert [line for line in said if SLOW not in line] == []
    # Which client it is that connects, and which version answers: neither has to be allowed.
    assert {entry["object"] for entry in admin.acl_log()} <= {"client", "info"}


def _is_delivered() -> bool:
    db.session.rollback()
    return not db.session.scalars(select(PendingDelivery)).all()


def break_by_role(admin: Redis) -> None:
    admin.slaveof("127.0.0.1", 1)


def mend_role(admin: Redis) -> None:
    admin.slaveof()


def break_by_memory(admin: Redis) -> None:
    admin.config_set("maxmemory", "1")


def mend_memory(admin: Redis) -> None:
    admin.config_set("maxmemory", "0")


def break_by_rights(admin: Redis) -> None:
    admin.acl_setuser("default", commands=["-zrangebyscore", "-blpop", "-set"], enabled=True, nopass=True)


def mend_rights(admin: Redis) -> None:
    admin.acl_setuser("default", enabled=True, nopass=True, commands=["+@all"])


BROKEN = {
    "replica": (break_by_role, mend_role, "it is a read-only replica"),
    "full": (break_by_memory, mend_memory, "its memory is full"),
    "rights": (break_by_rights, mend_rights, "may not send SET, BLPOP, ZRANGEBYSCORE;"),
}


@pytest.mark.long
@on_sqlite
@pytest.mark.parametrize("what", BROKEN)
def test_a_redis_that_breaks_is_said_once_and_delivery_resumes(
    workspace: Workspace, receiver: Receiver, database_url: str, admin: Redis, tmp_path: Path, what: str
) -> None:
    break_it, mend_it, text = BROKEN[what]
    environ = environ_for(database_url, f"redis://127.0.0.1:{port_of(admin)}", tmp_path)
    workspace.endpoint(receiver.url)
    with ExitStack() as stack:
        scheduler = stack.enter_context(running("scheduler", environ, tmp_path))
        worker = stack.enter_context(running("worker", environ, tmp_path))
        scheduler.wait_until_ready()
        worker.wait_until_ready()
        break_it(admin)
        workspace.send()  # to another Redis, so that only the sweep tells of it
        for each in (scheduler, worker):
            wait_for(lambda each=each: each.problems)  # type: ignore[misc]
        time.sleep(6)  # in which a loop would write hundreds of lines
        for each in (scheduler, worker):
            [problem] = each.problems
            assert text in problem or SLOW in problem, each.lines
            assert len(each.lines) < 10, each.lines  # of a busy one that it was slow, too
        mend_it(admin)
        wait_for(_is_delivered)
        for each in (scheduler, worker):
            wait_for(lambda each=each: not each.problems)  # type: ignore[misc]
        assert scheduler.count(text) or worker.count(text)
    assert len(receiver.received) == 1


@pytest.mark.long
@on_sqlite
@pytest.mark.parametrize("is_sending", [False, True], ids=["idle", "sending"])
def test_a_stop_while_redis_hangs_is_in_time_and_leaves_nothing_claimed(
    workspace: Workspace, receiver: Receiver, database_url: str, tmp_path: Path, is_sending: bool
) -> None:
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer, 300)
    workspace.endpoint(receiver.url)
    with redis_server(tmp_path / "redis") as (port, redis):
        environ = environ_for(database_url, f"redis://127.0.0.1:{port}", tmp_path)
        if is_sending:
            workspace.send(5)
        with (
            running("worker", environ, tmp_path) as worker,
            running("scheduler", environ, tmp_path) as scheduler,
        ):
            worker.wait_until_ready()
            scheduler.wait_until_ready()
            if is_sending:
                wait_for(lambda: len(receiver.received) == 5)
            os.kill(redis.pid, signal.SIGSTOP)
            for each in (worker, scheduler):
                each.process.terminate()
            for each in (worker, scheduler):
                assert each.process.wait(120) == 0
        os.kill(redis.pid, signal.SIGCONT)
    may_answer.set()
    db.session.rollback()
    left = db.session.scalars(select(PendingDelivery)).all()
    assert len(left) == (5 if is_sending else 0)
    assert {row.claimed_at for row in left} <= {None}


@pytest.mark.long
@on_sqlite
def test_an_answer_is_recorded_while_redis_hangs(
    workspace: Workspace, receiver: Receiver, database_url: str, tmp_path: Path
) -> None:
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer, 300)
    workspace.endpoint(receiver.url, timeout_ms=30_000)
    with redis_server(tmp_path / "redis") as (port, redis):
        environ = environ_for(database_url, f"redis://127.0.0.1:{port}", tmp_path)
        workspace.send(3)
        with running("worker", environ, tmp_path) as worker:
            worker.wait_until_ready()
            wait_for(lambda: len(receiver.received) == 3, 60)
            os.kill(redis.pid, signal.SIGSTOP)
            wait_for(lambda: worker.count("redis_unavailable"))
            may_answer.set()
            wait_for(_is_delivered)
            assert worker.process.poll() is None
            assert worker.count("Traceback") == 0
            os.kill(redis.pid, signal.SIGCONT)
            wait_for(lambda: worker.count("redis_available"))
    assert set(db.session.scalars(select(Attempt.outcome))) == {"success"}
