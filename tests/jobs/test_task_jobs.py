"""Whoever can write to Redis has a worker run tasks of ours, and nothing else."""

import inspect
import json
import pickle
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis
from rq import Queue, Repeat
from rq.callbacks import Callback
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.job import Retry as JobRetry
from rq.serializers import JSONSerializer
from rq.utils import import_attribute
from rq.webhook import Webhook
from rq_scheduler import Scheduler

from tests.conftest import Workspace
from tests.patience import PATIENT_WAKE_LIMITS
from tests.receivers import Receiver
from webhooks_app import tasks
from webhooks_app.jobs import task_jobs
from webhooks_app.jobs.delivery_worker import DeliveryWorker
from webhooks_app.jobs.scheduler import WakeUpScheduler
from webhooks_app.jobs.task_jobs import DELIVER_DUE, EXPIRE_ID, QUEUE_NAME, SWEEP_ID, TaskJob

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SCHEDULED = Scheduler.scheduled_jobs_key
QUEUE = f"rq:queue:{QUEUE_NAME}"
NOW = datetime.now(UTC).replace(tzinfo=None)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def stranger(redis: Redis) -> Queue:
    """RQ as a stranger has it, who can write to our Redis."""
    return Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)


@pytest.fixture
def worker(job_app: Flask, redis_url: str) -> Iterator[DeliveryWorker]:
    with Redis.from_url(redis_url) as client:
        yield DeliveryWorker("tester", client, engine=tasks.context().engine)


def run_all(worker: DeliveryWorker) -> None:
    """Have the worker take what is in the queue, as its loop does."""
    while worker.queues[0].count:
        taken = worker.dequeue_job_and_maintain_ttl(None)
        if taken is not None:
            worker.execute_job(*taken)


def test_the_tasks_are_the_functions_of_their_module_and_take_nothing(worker: DeliveryWorker) -> None:
    jobs = {
        f"{tasks.__name__}.{name}"
        for name, function in inspect.getmembers(tasks, inspect.isfunction)
        if function.__module__ == tasks.__name__ and not name.startswith("_")
        if inspect.signature(function) == inspect.Signature(return_annotation=None)
    }
    assert set(task_jobs.TASKS) == jobs
    assert all(callable(import_attribute(name)) for name in task_jobs.TASKS)


HOSTILE: Mapping[str, Callable[[Queue, str], Job]] = {
    "a function": lambda queue, path: queue.enqueue_call("os.mkdir", args=(path,)),
    "an attribute": lambda queue, path: queue.enqueue_call("webhooks_app.tasks.threading.Thread"),
    "a private function": lambda queue, path: queue.enqueue_call("webhooks_app.tasks._expire"),
    "another name of a task": lambda queue, path: queue.enqueue_call(
        "webhooks_app.cli.worker_process.tasks.sweep"
    ),
    "arguments": lambda queue, path: queue.enqueue_call(DELIVER_DUE, args=(path,)),
    "named arguments": lambda queue, path: queue.enqueue_call(DELIVER_DUE, kwargs={"path": path}),
    "on success": lambda queue, path: queue.enqueue_call(DELIVER_DUE, on_success=Callback("os.mkdir")),
    "on failure": lambda queue, path: queue.enqueue_call(DELIVER_DUE, on_failure=Callback("os.mkdir")),
    "on stopped": lambda queue, path: queue.enqueue_call(DELIVER_DUE, on_stopped=Callback("os.mkdir")),
    "a webhook": lambda queue, path: queue.enqueue_call(
        DELIVER_DUE, webhooks=[Webhook("http://127.0.0.1:1/", "finished")]
    ),
    "a repeat": lambda queue, path: queue.enqueue_call(DELIVER_DUE, repeat=Repeat(times=9, interval=1)),
    "a retry": lambda queue, path: queue.enqueue_call(DELIVER_DUE, retry=JobRetry(max=9)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_job_that_is_none_of_ours_is_dropped_with_a_line(
    worker: DeliveryWorker,
    stranger: Queue,
    redis: Redis,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    runs: list[str] = []
    monkeypatch.setattr(TaskJob, "perform", lambda job: runs.append(job.func_name))
    made = tmp_path / "made"
    HOSTILE[what](stranger, str(made))

    run_all(worker)

    assert not made.exists()
    assert runs == []
    assert [record.message for record in caplog.records] == ["job_refused"]
    assert not redis.keys("rq:job:*")
    assert redis.llen(QUEUE) == 0


def hash_of(data: object, **fields: Any) -> dict[Any, Any]:
    return {"data": data, "created_at": "2030-01-01T00:00:00.000000Z", "origin": QUEUE_NAME} | fields


CALL = json.dumps([DELIVER_DUE, None, [], {}]).encode()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/nowhere/unpickled"),)


RAW: Mapping[str, dict[Any, Any]] = {
    "pickled": hash_of(pickle.dumps((DELIVER_DUE, None, (), {}))),
    "pickled with a bomb": hash_of(pickle.dumps(Bomb())),
    "an instance": hash_of(json.dumps([DELIVER_DUE, "x", [], {}]).encode()),
    "nested without end": hash_of(b"[" * 1000),
    "a name that is no text": hash_of(json.dumps([[DELIVER_DUE], None, [], {}]).encode()),
    "not JSON": hash_of(b"\xff\xfe"),
    "no data": {"origin": QUEUE_NAME, "webhooks": "[1]"},
    "decompressed too long": hash_of(zlib.compress(b"a" * 50_000_000)),
    "a callback beside it": hash_of(CALL, success_callback_name="os.mkdir"),
    "a dependency": hash_of(CALL, dependency_id="other"),
    "dependencies": hash_of(CALL, dependency_ids='["other"]'),
    "a group": hash_of(CALL, group_id="other"),
    "a rate limit": hash_of(CALL, rate_limit_key="other", rate_limit_concurrency="1"),
}


@pytest.mark.parametrize("what", RAW)
def test_a_forged_hash_is_dropped_with_a_line(
    worker: DeliveryWorker, redis: Redis, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    redis.hset("rq:job:forged", mapping=RAW[what])
    redis.rpush(QUEUE, "forged")

    run_all(worker)

    assert [record.message for record in caplog.records] == ["job_refused"]
    assert not redis.exists("rq:job:forged")


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a:b", b"x" * 5000, b"", b"a\nb forged=1", b"../rq"])
def test_an_id_that_is_none_is_dropped_with_one_line(
    worker: DeliveryWorker, redis: Redis, caplog: pytest.LogCaptureFixture, name: bytes
) -> None:
    redis.rpush(QUEUE, name)

    run_all(worker)

    [record] = caplog.records
    assert record.message == "job_refused"
    assert "\n" not in vars(record)["job"]
    assert len(vars(record)["job"]) < 500


def test_a_key_of_another_kind_is_dropped(
    worker: DeliveryWorker, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis.rpush("rq:job:forged", "a", "b")
    redis.rpush(QUEUE, "forged", "missing")

    run_all(worker)

    assert [record.message for record in caplog.records] == ["job_refused"]
    assert not redis.exists("rq:job:forged")


@pytest.mark.parametrize("timeout", ["-1", "315360000", "0", "abc", "1e99"])
def test_what_else_a_job_says_changes_nothing(
    worker: DeliveryWorker, redis: Redis, workspace: Workspace, receiver: Receiver, timeout: str
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    redis.flushdb()
    fields = {"timeout": timeout, "origin": "elsewhere", "ttl": "x", "result_ttl": "-1", "status": "?"}
    redis.hset("rq:job:ours", mapping=hash_of(CALL, meta=b"\x80\x04.", enqueued_at="never", **fields))
    redis.rpush(QUEUE, "ours")

    taken = worker.dequeue_job_and_maintain_ttl(None)
    assert taken is not None
    assert (taken[0].timeout, taken[0].origin) == (task_jobs.JOB_TIMEOUT_SECONDS, QUEUE_NAME)
    worker.execute_job(*taken)

    assert len(receiver.received) == 1
    assert redis.keys("rq:job:*") + redis.keys("rq:queue:elsewhere*") + redis.keys("rq:results:*") == []


def test_delivery_goes_on_behind_a_thousand_hostile_jobs(
    worker: DeliveryWorker,
    stranger: Queue,
    redis: Redis,
    workspace: Workspace,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    workspace.endpoint(receiver.url)
    redis.delete("webhooks:wake")
    for number in range(1000):
        stranger.enqueue_call("os.mkdir", args=(str(tmp_path / str(number)),))
    workspace.send()

    run_all(worker)

    assert len(receiver.received) == 1
    assert not list(tmp_path.glob("[0-9]*"))


def test_what_depends_on_a_job_of_ours_is_not_run_after_it(
    worker: DeliveryWorker, stranger: Queue, redis: Redis, tmp_path: Path
) -> None:
    ours = stranger.enqueue_call(DELIVER_DUE)
    made = tmp_path / "made"
    stranger.enqueue_call("os.mkdir", args=(str(made),), depends_on=ours)

    run_all(worker)

    assert not made.exists()
    assert redis.llen(QUEUE) == 0


def test_rqs_own_registries_have_nothing_run(
    worker: DeliveryWorker, stranger: Queue, redis: Redis, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    job = stranger.enqueue_call("os.mkdir", args=(str(made),), on_failure=Callback("os.mkdir"))
    redis.delete(QUEUE)
    for registry in ("wip", "failed", "finished", "scheduled", "deferred", "canceled"):
        redis.zadd(f"rq:{registry}:{QUEUE_NAME}", {job.id.encode(): 1, b"\xff": 1})
    redis.rpush(f"{QUEUE}:intermediate", job.id)
    redis.sadd(f"rq:workers:{QUEUE_NAME}", b"\xff", "rq:worker:gone")

    worker.run_maintenance_tasks()
    run_all(worker)

    assert not made.exists()


@pytest.mark.usefixtures("signal_handlers")
def test_a_worker_takes_no_commands_and_is_not_suspended(
    worker: DeliveryWorker, redis: Redis, workspace: Workspace, receiver: Receiver
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    redis.set("rq:suspended", 1)

    worker.work(burst=True, logging_level="WARNING")

    assert len(receiver.received) == 1
    assert redis.pubsub_channels() == []
    assert redis.pubsub_numsub("rq:pubsub:tester") == [(b"rq:pubsub:tester", 0)]


def test_whoever_loads_a_job_through_rq_gets_none_but_ours(
    database_url: str, stranger: Queue, redis: Redis
) -> None:
    job = stranger.enqueue_call("os.system", args=("true",))
    with pytest.raises(NoSuchJobError):
        TaskJob.fetch(job.id, connection=redis)
    made = TaskJob(connection=redis)
    made.func_name = "os.system"
    with pytest.raises(NoSuchJobError):
        made.perform()


@pytest.fixture
def periodic(redis: Redis) -> WakeUpScheduler:
    made = WakeUpScheduler(queue_name=QUEUE_NAME, connection=redis, job_class=TaskJob)
    made.wake_limits = PATIENT_WAKE_LIMITS
    return made


def test_nothing_is_scheduled_but_our_own_jobs(
    redis: Redis, periodic: WakeUpScheduler, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    strange = Scheduler(queue_name=QUEUE_NAME, connection=redis)
    past = time.time() - 5
    strange.schedule(NOW, func="os.system", args=["true"], id="cron", meta={"cron_string": "* * * * *"})
    strange.schedule(NOW, func="os.system", args=["true"], interval=0, repeat=10**9, id="endless")
    for name in (b"cron", b"endless", b"missing", b"\xff\xfe", b"due-abc", b"due-1\n", b"x" * 10_000):
        redis.zadd(SCHEDULED, {name: past})
    redis.zadd(SCHEDULED, {"minus": "-inf"})
    redis.rpush("rq:job:due-7", "not a hash")
    redis.zadd(SCHEDULED, {"due-7": past})

    periodic.enqueue_jobs()

    assert set(redis.zrange(SCHEDULED, 0, -1)) == {SWEEP_ID.encode(), EXPIRE_ID.encode()}
    # The wake-up that due-7 stands for; a second behind the start there is a sweep, too.
    assert [job.func_name for job in task_jobs.task_queue(redis).jobs].count(DELIVER_DUE) == 1
    assert not [key for key in redis.keys("rq:job:*") if b"due-" in key or key in (b"rq:job:cron",)]
    assert {record.message for record in caplog.records} == {"job_refused"}
    assert len(caplog.records) == 8


def due_at(redis: Redis) -> float:
    """When the sweep is due, in seconds since 1970."""
    found = redis.zscore(SCHEDULED, SWEEP_ID)
    assert found is not None
    return float(found)


def test_a_forged_sweep_is_a_sweep_at_its_own_interval(
    redis: Redis, periodic: WakeUpScheduler, database_url: str
) -> None:
    strange = Scheduler(queue_name="elsewhere", connection=redis)
    strange.schedule(NOW, func="os.system", args=["true"], interval=0, id=SWEEP_ID)
    redis.zadd(SCHEDULED, {SWEEP_ID: 1})

    began = time.time()
    for _ in range(5):
        periodic.enqueue_jobs()

    assert redis.lrange(QUEUE, 0, -1) == [b"sweep-now"]
    job = TaskJob.fetch("sweep-now", connection=redis)
    assert job.func_name == task_jobs.SWEEP_TASK
    assert not redis.exists("rq:queue:elsewhere")
    assert due_at(redis) > began + 10


def test_a_sweep_that_was_put_off_is_due_again_at_once(
    redis: Redis, periodic: WakeUpScheduler, database_url: str
) -> None:
    redis.zadd(SCHEDULED, {SWEEP_ID: time.time() + 3600})
    periodic.enqueue_jobs()
    assert due_at(redis) < time.time() + 5


def test_jobs_of_the_version_before_are_run(
    worker: DeliveryWorker, redis: Redis, workspace: Workspace, receiver: Receiver
) -> None:
    """That wrote them by way of RQ's own classes, and its scheduler enqueues the sweep by its id."""
    workspace.endpoint(receiver.url)
    workspace.send()
    redis.flushdb()
    Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer).enqueue_call(
        DELIVER_DUE, timeout=300, result_ttl=0, failure_ttl=3600
    )
    run_all(worker)
    assert len(receiver.received) == 1

    scheduler = Scheduler(queue_name=QUEUE_NAME, connection=redis, job_class=TaskJob)
    scheduler.schedule(NOW, func=task_jobs.SWEEP_TASK, interval=15, id=SWEEP_ID, timeout=180)
    redis.rpush(QUEUE, SWEEP_ID)
    taken = worker.dequeue_job_and_maintain_ttl(None)
    assert taken is not None
    assert taken[0].func_name == task_jobs.SWEEP_TASK
    assert redis.exists(f"rq:job:{SWEEP_ID}")
