"""The rq-scheduler process: retries at their time, the periodic sweep, the hourly expiry."""

import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import RedisError
from rq.job import Job
from rq_scheduler import Scheduler

from webhooks_app.jobs.process import wait_until_ready
from webhooks_app.jobs.wake_ups import DELIVER_DUE, QUEUE_NAME, JsonJob, rq_queue, set_wake_flag

log = logging.getLogger(__name__)

SWEEP = "webhooks_app.tasks.sweep"
SWEEP_ID = "sweep"
SWEEP_SECONDS = 15

EXPIRE = "webhooks_app.tasks.expire"
EXPIRE_ID = "expire"
EXPIRE_SECONDS = 3600

_SCHEDULER_INTERVAL_SECONDS = 1


class WakeUpScheduler(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """rq-scheduler's process, which also ends cleanly while Redis does not answer."""

    def enqueue_jobs(self) -> Any:
        if SWEEP_ID not in self:  # Redis was emptied
            schedule_periodic(self)
        return super().enqueue_jobs()

    def enqueue_job(self, job: Job) -> None:
        """Enqueue a periodic job; turn a scheduled wake-up into a wake-up like any other.

        A run that is awake needs no job for it, and would leave one behind for each second of due retries.
        """
        if job.func_name != DELIVER_DUE:
            super().enqueue_job(job)
            return
        set_wake_flag(rq_queue(self.connection))
        self.connection.zrem(self.scheduled_jobs_key, job.id)
        job.delete()

    def register_death(self) -> None:
        with suppress(RedisError):
            super().register_death()

    def remove_lock(self) -> None:
        with suppress(RedisError):
            super().remove_lock()

    def _install_signal_handlers(self) -> None:
        # rq-scheduler's handler talks to Redis first, so it does not end the process while Redis hangs; `run`
        # registers the death and frees the lock on its way out anyway.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))


def run_scheduler(redis_url: str, *, is_alone: bool, when_ready: Callable[[], None]) -> None:
    """Run the rq-scheduler process: enqueue due wake-ups and the periodic jobs, until a signal ends it.

    Of several such processes, the one that holds the lock works. `is_alone` says that no other process can
    hold it, so that a lock found at the start was left by a killed process and is removed. Raises NoRedis.
    """
    redis = wait_until_ready(redis_url)
    if is_alone:
        redis.delete(Scheduler.scheduler_lock_key)
    when_ready()
    while True:
        # A new object each time, as its name stays registered in Redis until it has ended or expired.
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
    """Schedule the sweep and the hourly expiry, whose fixed ids keep them single.

    The first expiry comes a minute after the start, when the platform is no longer busy with starting.
    """
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
