"""Redis, RQ and rq-scheduler. Nothing here is the truth: SQL holds every delivery and its due time.

A wake-up is coalesced: whoever sets the flag enqueues the one job, and the job clears the flag before its
first claim. So a commit is either seen by that claim or finds the flag clear and enqueues a job of its own,
unless a run is awake that looks at the flag itself until it ends.
"""

import logging
import math
import time
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq_scheduler import Scheduler

log = logging.getLogger(__name__)

QUEUE_NAME = "deliveries"

DELIVER_DUE = "webhooks_app.tasks.deliver_due"

SEND_MAIL = "webhooks_app.tasks.send_mail"

RECOVER = "webhooks_app.tasks.recover"

_WAKE_FLAG = "webhooks:wake"

# The flag outlives a lost job by no more than this; the sweep finds what waited meanwhile.
_WAKE_FLAG_SECONDS = 5

# Set while a run looks at the flag every few milliseconds, so that no job is needed to have it seen. Without
# it, steady traffic would leave a job behind for each time that a run finds the flag.
AWAKE = "webhooks:awake"

_AWAKE_SECONDS = 2

_HELP_SECONDS = 1.0

JOB_SECONDS = 300

# A web request must not wait for a Redis that hangs, and not each one afresh.
_PATIENCE_SECONDS = 0.25

_PAUSE_AFTER_ERROR_SECONDS = 2.0

JobTimeout = JobTimeoutException


class JsonJob(Job):
    """An RQ job whose data is JSON for whoever loads it, rq-scheduler included; never pickle."""

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: Any = None
    ) -> None:
        super().__init__(id=id, connection=connection, serializer=JSONSerializer)


class WakeUps:
    """What web processes and workers hold of Redis: best effort, quick to give up."""

    def __init__(self, redis_url: str) -> None:
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=_PATIENCE_SECONDS,
            socket_connect_timeout=_PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._queue = delivery_queue(self._redis)
        self._scheduler = Scheduler(queue_name=QUEUE_NAME, connection=self._redis, job_class=JsonJob)
        self._silent_until = 0.0
        self._awake_until = self._help_at = 0.0

    def now(self) -> bool:
        """Sees to it that a worker looks for due deliveries. False where Redis did not answer."""
        return self._try(lambda: wake(self._queue))

    def at(self, moments: list[datetime]) -> bool:
        """Wake-ups for later, one scheduled job per second however many deliveries fall due in it."""
        return self._try(lambda: self._schedule({math.ceil(moment.timestamp()) for moment in moments}))

    def begin(self) -> None:
        """Called when a run starts, before its first claim: what is committed from here on asks anew."""
        self._awake_until = 0.0
        self.stay_awake()
        self._try(lambda: self._redis.delete(_WAKE_FLAG))

    def is_asked(self) -> bool:
        """Whether somebody committed deliveries since the last look; for a run that goes on."""
        answer: list[Any] = []
        self._try(lambda: answer.append(self._redis.getdel(_WAKE_FLAG)))
        return answer not in ([], [None])

    def end(self, *, expects_more: bool) -> None:
        """Called when a run ends. Whoever relied on it from here on, or expects more, gets a job."""
        self._try(lambda: self._redis.delete(AWAKE))
        self._awake_until = 0.0
        answer: list[Any] = []
        self._try(lambda: answer.append(self._redis.getdel(_WAKE_FLAG)))
        if expects_more or answer not in ([], [None]):
            self.now()

    def stay_awake(self) -> None:
        """Called again and again by a run that looks at the flag, so that whoever sets it needs no job."""
        if time.monotonic() > self._awake_until - _AWAKE_SECONDS / 2:
            self._awake_until = time.monotonic() + _AWAKE_SECONDS
            self._try(lambda: self._redis.set(AWAKE, 1, ex=_AWAKE_SECONDS))

    def another(self) -> None:
        """Called by a run that has its hands full: one more worker comes, where one is idle."""
        if time.monotonic() > self._help_at:
            self._help_at = time.monotonic() + _HELP_SECONDS
            self._try(self._enqueue_if_idle)

    def mail(self) -> bool:
        """Has a worker send the e-mail that is due. False where Redis did not answer."""
        return self._try(lambda: self._enqueue(SEND_MAIL))

    def recover(self) -> bool:
        """Has a worker go on with the recoveries that run. False where Redis did not answer."""
        return self._try(lambda: self._enqueue(RECOVER))

    def _enqueue(self, function: str) -> None:
        self._queue.enqueue_call(function, timeout=60, result_ttl=0, failure_ttl=3600)

    def answers(self) -> bool:
        """Whether Redis does."""
        return self._try(self._redis.ping)

    def scheduled(self) -> list[tuple[str, datetime]]:
        """The scheduled jobs with their times, soonest first. Raises RedisError."""
        rows: Any = self._redis.zrange(Scheduler.scheduled_jobs_key, 0, 99, withscores=True)
        return [(name.decode(), datetime.fromtimestamp(score, UTC)) for name, score in rows]

    def _enqueue_if_idle(self) -> None:
        if not self._queue.count:  # what waits in it waits because no worker is idle
            enqueue_run(self._queue)

    def _schedule(self, seconds: set[int]) -> None:
        for second in seconds:
            # The fixed id makes the second call for one second overwrite the first.
            self._scheduler.enqueue_at(
                datetime.fromtimestamp(second, UTC).replace(tzinfo=None),
                DELIVER_DUE,
                job_id=f"due-{second}",
                timeout=JOB_SECONDS,
                job_result_ttl=0,
            )

    def _try(self, act: Any) -> bool:
        if time.monotonic() < self._silent_until:
            return False
        try:
            act()
        except RedisError as error:
            self._silent_until = time.monotonic() + _PAUSE_AFTER_ERROR_SECONDS
            log.warning("redis_unavailable", extra={"error": type(error).__name__})
            return False
        return True


def delivery_queue(redis: Redis) -> Queue:
    return Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer, job_class=JsonJob)


def wake(queue: Queue) -> None:
    with queue.connection.pipeline(transaction=False) as pipe:
        pipe.set(_WAKE_FLAG, 1, nx=True, ex=_WAKE_FLAG_SECONDS)
        pipe.exists(AWAKE)
        is_first, is_awake = pipe.execute()
    if is_first and not is_awake:
        enqueue_run(queue)


def enqueue_run(queue: Queue) -> None:
    queue.enqueue_call(DELIVER_DUE, timeout=JOB_SECONDS, result_ttl=0, failure_ttl=3600)
