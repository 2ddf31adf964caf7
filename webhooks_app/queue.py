"""Redis, RQ and rq-scheduler. Nothing here is the truth: SQL holds every delivery and its due time.

A wake-up is coalesced: whoever sets the flag enqueues the one job, and the job clears the flag before its
first claim. So a commit is either seen by that claim or finds the flag clear and enqueues a job of its own,
unless a run is awake that looks at the flag itself until it ends.
"""

import logging
import math
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
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
SWEEP = "webhooks_app.tasks.sweep"
SWEEP_ID = "sweep"
SWEEP_SECONDS = 15
SEND_MAIL = "webhooks_app.tasks.send_mail"
RECOVER = "webhooks_app.tasks.recover"
EXPIRE = "webhooks_app.tasks.expire"
EXPIRE_ID = "expire"
EXPIRE_SECONDS = 3600

_WAKE_FLAG = "webhooks:wake"
# The flag outlives a lost job by no more than this; the sweep finds what waited meanwhile.
_WAKE_FLAG_SECONDS = 5
# Set while a run looks at the flag every few milliseconds, so that no job is needed to have it seen. Without
# it, steady traffic would leave a job behind for each time that a run finds the flag.
AWAKE = "webhooks:awake"
_AWAKE_SECONDS = 2
_HELP_SECONDS = 1.0
JOB_SECONDS = 300
_SCHEDULER_INTERVAL_SECONDS = 1
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
        self._queue = deliveries(self._redis)
        self._scheduler = Scheduler(queue_name=QUEUE_NAME, connection=self._redis, job_class=JsonJob)
        self._silent_until = 0.0
        self._awake_until = self._help_at = 0.0

    def now(self) -> bool:
        """Sees to it that a worker looks for due deliveries. False where Redis did not answer."""
        return self._try(lambda: _wake(self._queue))

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
            _enqueue_run(self._queue)

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


def deliveries(redis: Redis) -> Queue:
    return Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer, job_class=JsonJob)


def _wake(queue: Queue) -> None:
    with queue.connection.pipeline(transaction=False) as pipe:
        pipe.set(_WAKE_FLAG, 1, nx=True, ex=_WAKE_FLAG_SECONDS)
        pipe.exists(AWAKE)
        is_first, is_awake = pipe.execute()
    if is_first and not is_awake:
        _enqueue_run(queue)


def _enqueue_run(queue: Queue) -> None:
    queue.enqueue_call(DELIVER_DUE, timeout=JOB_SECONDS, result_ttl=0, failure_ttl=3600)


class NoRedis(Exception):
    """Redis did not answer while a process that cannot work without it was starting."""


class WakeUpScheduler(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """rq-scheduler's process, which also ends in order while Redis is away."""

    def enqueue_jobs(self) -> Any:
        if SWEEP_ID not in self:  # Redis was emptied
            schedule_periodic(self)
        return super().enqueue_jobs()

    def enqueue_job(self, job: Job) -> None:
        """A wake-up for retries becomes one like any other: a run that is awake needs no job for it, and
        while one is there would be one more each second."""
        if job.func_name != DELIVER_DUE:
            super().enqueue_job(job)
            return
        _wake(deliveries(self.connection))
        self.connection.zrem(self.scheduled_jobs_key, job.id)
        job.delete()

    def register_death(self) -> None:
        with suppress(RedisError):
            super().register_death()

    def remove_lock(self) -> None:
        with suppress(RedisError):
            super().remove_lock()

    def _install_signal_handlers(self) -> None:
        # Its own handler talks to Redis first and so cannot be relied on to end the process; `run` registers
        # the death and frees the lock on its way out anyway.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))


def wait_until_ready(redis_url: str, seconds: float = 30) -> Redis:
    """A connection for a worker or scheduler, once Redis answers. Raises NoRedis after `seconds`."""
    redis = Redis.from_url(redis_url, health_check_interval=30)
    deadline = time.monotonic() + seconds
    while True:
        try:
            redis.ping()
            return redis
        except RedisError as error:
            if time.monotonic() > deadline:
                raise NoRedis(
                    f"Redis did not answer for {seconds:.0f} seconds ({type(error).__name__}); see REDIS_URL."
                ) from None
            time.sleep(0.1)


def run_scheduler(redis_url: str, *, is_alone: bool, when_ready: Callable[[], None]) -> None:
    """The rq-scheduler process: moves due wake-ups into the queue and keeps the periodic sweep alive.

    Of several, whoever holds the lock works. `is_alone` says that nobody else can hold it, so that a lock
    found at the start was left by a killed process and need not be waited for. Raises NoRedis.
    """
    redis = wait_until_ready(redis_url)
    if is_alone:
        redis.delete(Scheduler.scheduler_lock_key)
    when_ready()
    while True:
        # A new one each time: a name counts as taken until the one that bore it has died or expired.
        scheduler = WakeUpScheduler(
            queue_name=QUEUE_NAME, connection=redis, job_class=JsonJob, interval=_SCHEDULER_INTERVAL_SECONDS
        )
        try:
            schedule_periodic(scheduler)
            scheduler.run()
        except RedisError as error:
            log.warning("redis_unavailable", extra={"error": type(error).__name__})
            wait_until_ready(redis_url)


def schedule_periodic(scheduler: Scheduler) -> None:
    """The sweep, and the hourly expiry once a start has settled; the fixed ids keep them single."""
    for function, name, first, interval in (
        (SWEEP, SWEEP_ID, 1, SWEEP_SECONDS),
        (EXPIRE, EXPIRE_ID, 60, EXPIRE_SECONDS),
    ):
        scheduler.schedule(
            scheduled_time=datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=first),
            func=function,
            interval=interval,
            id=name,
            timeout=60,
            ttl=None,
        )
