"""The rq-scheduler process: retries at their time, the periodic sweep, the hourly expiry."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq_scheduler import Scheduler

from webhooks_app.jobs import wake_flag
from webhooks_app.jobs.process import exit_on_stop_signals
from webhooks_app.jobs.redis_backoff import RedisBackoff
from webhooks_app.jobs.redis_start import wait_until_ready
from webhooks_app.jobs.task_jobs import (
    EXPIRE,
    EXPIRE_ID,
    QUEUE_NAME,
    SWEEP_ID,
    SWEEP_TASK,
    TaskJob,
    task_queue,
    timeout_seconds,
)
from webhooks_app.jobs.wake_limits import DEFAULT_LIMITS

log = logging.getLogger(__name__)

SWEEP_SECONDS = 15
EXPIRE_SECONDS = 3600

_SCHEDULER_INTERVAL_SECONDS = 1
# Jobs enqueued per pass; the others wait for the next.
_MOST_AT_ONCE = 1000
_WAKE_UP_ID = re.compile(rb"due-[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class _Periodic:
    function: str
    first_seconds: int
    interval_seconds: int


# The first expiry comes a minute after the start, when the platform is no longer busy with starting.
_PERIODIC = {
    SWEEP_ID: _Periodic(SWEEP_TASK, first_seconds=1, interval_seconds=SWEEP_SECONDS),
    EXPIRE_ID: _Periodic(EXPIRE, first_seconds=60, interval_seconds=EXPIRE_SECONDS),
}


@dataclass(slots=True)
class SchedulerState:
    """What the scheduler's process knows of itself. `worked_at`: by the monotonic clock, when it last held
    the lock and Redis took what it had to say."""

    backoff: RedisBackoff | None = None
    worked_at: float | None = None

    def describe(self) -> dict[str, Any]:
        """Return it for operators; may be called from any thread."""
        worked_at = self.worked_at
        return {
            "redis": self.backoff.problem_text if self.backoff else None,
            "idle_seconds": None if worked_at is None else round(time.monotonic() - worked_at, 1),
        }


class WakeUpScheduler(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """rq-scheduler's process, which also ends cleanly while Redis does not answer.

    The id of a scheduled job says what to do. What else Redis holds of it, such as a function, an interval or
    a cron string, is not looked at: who can write there must not have a worker run something else.
    """

    _is_redis_away = False
    state: SchedulerState | None = None
    wake_limits = DEFAULT_LIMITS

    def enqueue_jobs(self) -> None:
        """Do what is due; drop what is not ours. Called each second while this process holds the lock."""
        self._enqueue_due()
        if self.state is not None:
            self.state.worked_at = time.monotonic()

    def _enqueue_due(self) -> None:
        self._schedule_missing()
        names = self._due_names()
        for name in _PERIODIC.keys() & {name.decode(errors="replace") for name in names}:
            self._enqueue_periodic(name)
        others = [name for name in names if name.decode(errors="replace") not in _PERIODIC]
        # One wake-up for all of them, and none for a run that is awake.
        if any(_WAKE_UP_ID.fullmatch(name) for name in others):
            wake_flag.set_flag(task_queue(self.connection), limits=self.wake_limits)
        self._drop(others)

    def _schedule_missing(self) -> None:
        """Schedule the periodic jobs if Redis was emptied, or the clock was wrong when they were set."""
        at = self.connection.zscore(self.scheduled_jobs_key, SWEEP_ID)
        if at is None or at > time.time() + SWEEP_SECONDS:
            schedule_periodic(self)

    def _due_names(self) -> list[bytes]:
        found: Any = self.connection.zrangebyscore(
            self.scheduled_jobs_key, "-inf", time.time(), start=0, num=_MOST_AT_ONCE
        )
        return list(found)

    def _enqueue_periodic(self, name: str) -> None:
        periodic = _PERIODIC[name]
        # The fixed id keeps it single where no worker takes it for long.
        task_queue(self.connection).enqueue_call(
            periodic.function, job_id=f"{name}-now", timeout=timeout_seconds(periodic.function), result_ttl=0
        )
        due_at = int(time.time()) + periodic.interval_seconds
        self.connection.zadd(self.scheduled_jobs_key, {name: due_at})

    def _drop(self, names: list[bytes]) -> None:
        for name in names:
            if not _WAKE_UP_ID.fullmatch(name):
                log.warning("job_refused", extra={"job": repr(name[:100]), "problem": "scheduled, not by us"})
        if names:
            with self.connection.pipeline(transaction=False) as pipe:
                pipe.zrem(self.scheduled_jobs_key, *names)
                pipe.delete(*(TaskJob.redis_job_namespace_prefix.encode() + name for name in names))
                pipe.execute()

    def remove_lock(self) -> None:
        try:
            super().remove_lock()
        except RedisError:
            self._is_redis_away = True

    def register_death(self) -> None:
        if not self._is_redis_away:  # once is enough to wait for it
            with suppress(RedisError):
                super().register_death()

    def _install_signal_handlers(self) -> None:
        # rq-scheduler's handler talks to Redis first, so it does not end the process while Redis hangs; `run`
        # registers the death and frees the lock on its way out anyway. `run_scheduler` has set ours.
        pass


def run_scheduler(
    redis_url: str,
    *,
    is_alone: bool,
    when_ready: Callable[[], None],
    state: SchedulerState | None = None,
) -> None:
    """Run the rq-scheduler process: enqueue due wake-ups and the periodic jobs, until a signal ends it.

    Of several such processes, the one that holds the lock works. `is_alone` says that no other process can
    hold it, so that a lock found at the start was left by a killed process and is removed. `state` is kept up
    to date. Raises NoRedis.
    """
    # Before it says `ready`: whoever waits for that may ask it to end at once.
    exit_on_stop_signals()
    state = state or SchedulerState()
    redis = wait_until_ready(redis_url)
    when_ready()
    state.backoff = backoff = RedisBackoff(redis)
    if is_alone:
        backoff.run(lambda: redis.delete(Scheduler.scheduler_lock_key))
    while True:
        if not backoff.run(lambda: _run(redis, state)):
            time.sleep(backoff.seconds_left)


def _run(redis: Redis, state: SchedulerState) -> None:
    """Run rq-scheduler until a signal ends the process. Raises RedisError."""
    # A new object each time, as its name stays registered in Redis until it has ended or expired.
    scheduler = WakeUpScheduler(
        queue_name=QUEUE_NAME, connection=redis, job_class=TaskJob, interval=_SCHEDULER_INTERVAL_SECONDS
    )
    scheduler.state = state
    schedule_periodic(scheduler)
    scheduler.run()


def schedule_periodic(scheduler: Scheduler) -> None:
    """Schedule the sweep and the hourly expiry, whose fixed ids keep them single."""
    for name, periodic in _PERIODIC.items():
        scheduler.schedule(
            scheduled_time=datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=periodic.first_seconds),
            func=periodic.function,
            interval=periodic.interval_seconds,
            id=name,
            timeout=timeout_seconds(periodic.function),
            ttl=None,
        )
