"""The jobs that a worker runs: tasks of ours, by name, and nothing else that stands in Redis.

Who can write to Redis must not run code in a worker. So nothing that an RQ job holds there decides anything,
except which of our tasks is meant: neither arguments nor callbacks, webhooks, dependencies, repeats,
time-outs or pickled data. A job that is anything else is dropped with one line in the log.
"""

import json
import logging
import re
import zlib
from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

from webhooks_app.jobs.redis_diagnosis import OLDEST_REDIS

log = logging.getLogger(__name__)

QUEUE_NAME = "deliveries"

DELIVER_DUE = "webhooks_app.tasks.deliver_due"
SEND_MAIL = "webhooks_app.tasks.send_mail"
RECOVER = "webhooks_app.tasks.recover"
SWEEP_TASK = "webhooks_app.tasks.sweep"
EXPIRE = "webhooks_app.tasks.expire"
TASKS = (DELIVER_DUE, SEND_MAIL, RECOVER, SWEEP_TASK, EXPIRE)

# The ids under which the periodic jobs are scheduled.
SWEEP_ID = "sweep"
EXPIRE_ID = "expire"

JOB_TIMEOUT_SECONDS = 300
# What the other tasks do takes seconds, or goes on in a thread.
SHORT_TIMEOUT_SECONDS = 60

_JOB_ID = re.compile(rb"[A-Za-z0-9_-]{1,100}")
# A job of ours takes a tenth of that; more could be a bomb to decompress.
_LONGEST_DATA = 1024
_DATA = b"data"
# By these RQ would run or send something else; no job of ours has one.
_REFUSED_FIELDS = (
    *(b"success_callback_name", b"failure_callback_name", b"stopped_callback_name", b"webhooks"),
    *(b"dependency_ids", b"dependency_id", b"group_id", b"rate_limit_key", b"repeats_left", b"retries_left"),
)
_FIELDS = (_DATA, *_REFUSED_FIELDS)
_CALLS = {json.dumps((name, None, (), {})).encode(): name for name in TASKS}


class TaskJob(Job):
    """An RQ job that stands for one of our tasks, whoever loads it."""

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: Any = None
    ) -> None:
        super().__init__(id=id, connection=connection, serializer=JSONSerializer)

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """Take over which task a job's fields in Redis mean. Raises NoSuchJobError if it is none of ours."""
        task, problem = _own_task(raw_data.get(_DATA, b"")), _unexpected_field(raw_data)
        if task is None or problem:
            log.warning("job_refused", extra={"job": self.id, "problem": problem or "not a task of ours"})
            raise NoSuchJobError(f"Job {self.id} is not a task of ours")
        self._func_name, self._instance, self._args, self._kwargs = task, None, (), {}
        self.origin, self.timeout = QUEUE_NAME, timeout_seconds(task)

    @property
    def func(self) -> Any:
        if self.func_name not in TASKS:
            raise NoSuchJobError(f"Job {self.id} is not a task of ours")
        return import_attribute(self.func_name)


class TaskQueue(Queue):
    """The queue of our tasks."""

    def get_redis_server_version(self) -> tuple[int, int, int]:
        return OLDEST_REDIS  # RQ would ask for it, which a user of few rights may not

    def take(self, timeout_seconds: int | None) -> TaskJob | None:
        """Take the next job out of Redis; return None if there was none in time, or none of ours.

        Nothing is left of a job that was taken: what it is about stands in SQL. None as `timeout_seconds`
        does not wait. Raises RedisError.
        """
        if timeout_seconds is None:
            job_id: Any = self.connection.lpop(self.key)
        else:
            popped: Any = self.connection.blpop([self.key], timeout_seconds)
            job_id = popped and popped[1]
        return self._load(job_id) if job_id is not None else None

    def _load(self, job_id: bytes) -> TaskJob | None:
        if not _JOB_ID.fullmatch(job_id):
            log.warning("job_refused", extra={"job": repr(job_id[:100]), "problem": "malformed id"})
            return None
        job = TaskJob(job_id.decode(), connection=self.connection)
        values = self._pop_fields(job)
        if not any(values):  # taken before, or expired
            return None
        try:
            job.restore({name: value for name, value in zip(_FIELDS, values, strict=True) if value})
        except NoSuchJobError:
            return None
        return job

    def _pop_fields(self, job: TaskJob) -> list[bytes | None]:
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.hmget(job.key, [name.decode() for name in _FIELDS])
            if job.id not in (SWEEP_ID, EXPIRE_ID):  # a scheduler of the version before reads those again
                pipe.delete(job.key)
            values: Any = pipe.execute(raise_on_error=False)[0]
        if isinstance(values, ResponseError) and str(values).startswith("WRONGTYPE"):
            log.warning("job_refused", extra={"job": job.id, "problem": "not a hash"})
            return []
        if isinstance(values, Exception):
            raise values
        return list(values)


def task_queue(redis: Redis) -> TaskQueue:
    return TaskQueue(QUEUE_NAME, connection=redis, serializer=JSONSerializer, job_class=TaskJob)


def timeout_seconds(task: str) -> int:
    """Return how long a task may take, whatever its job says."""
    return JOB_TIMEOUT_SECONDS if task == DELIVER_DUE else SHORT_TIMEOUT_SECONDS


def _unexpected_field(fields: Mapping[bytes, bytes]) -> str | None:
    """Return which field a job has that none of ours has, as a remark; None if there is none."""
    found = [name.decode() for name in _REFUSED_FIELDS if fields.get(name) not in (None, b"", b"[]")]
    return f"has {found[0]}" if found else None


def _own_task(data: bytes) -> str | None:
    """Return the task that a job calls, if it is one of ours and called without arguments.

    RQ compresses what it writes and also reads what is not compressed.
    """
    if len(data) > _LONGEST_DATA:
        return None
    try:
        call = zlib.decompressobj().decompress(data, _LONGEST_DATA)
    except zlib.error:
        call = data
    return _CALLS.get(call)
