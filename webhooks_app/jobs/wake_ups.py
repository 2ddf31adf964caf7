"""Wake-ups of workers through Redis, RQ and rq-scheduler.

Redis holds nothing that cannot be lost: SQL holds every delivery and its due time.

A wake-up is coalesced (`wake_flag`), and a run that is awake is told of it (`wake_waiter`).
"""

import math
import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cached_property

from rq.timeouts import JobTimeoutException
from rq_scheduler import Scheduler

from webhooks_app.jobs import listener_messages, redis_connections, task_jobs, wake_flag
from webhooks_app.jobs.listener_messages import ListenerMessages
from webhooks_app.jobs.redis_backoff import RedisBackoff, RedisBackoffLimits
from webhooks_app.jobs.task_jobs import DELIVER_DUE, QUEUE_NAME, RECOVER, SEND_MAIL, TaskJob
from webhooks_app.jobs.wake_flag import WakeRequest
from webhooks_app.jobs.wake_limits import DEFAULT_LIMITS, WakeLimits
from webhooks_app.jobs.wake_waiter import WAIT_SECONDS, WakeWaiter

# A run that is told of wake-ups still looks at the flag this often, should it have missed one.
_LOOK_SECONDS = 0.1

# A run that has no free slot calls another worker this often at most.
_CALL_INTERVAL_SECONDS = 1.0

_BACKOFF = RedisBackoffLimits(longest_seconds=2.0)

JobTimeout = JobTimeoutException


class WakeUps:
    """The connection of a web process or a worker to Redis: best effort, and quick to give up."""

    def __init__(self, redis_url: str, *, limits: WakeLimits = DEFAULT_LIMITS) -> None:
        self._redis = redis_connections.connect(redis_url, timeout_seconds=limits.answer_seconds)
        self._queue = task_jobs.task_queue(self._redis)
        self._scheduler = Scheduler(queue_name=QUEUE_NAME, connection=self._redis, job_class=TaskJob)
        self.backoff = RedisBackoff(self._redis, _BACKOFF)
        self._awake_until = self._next_call_at = self._looked_at = 0.0
        self._finds_run_awake = False  # whether the last wake-up found a run awake
        self._redis_url = redis_url
        self._limits = limits

    @cached_property
    def waiter(self) -> WakeWaiter:
        """What tells a run of wake-ups; only workers have one."""
        seconds = WAIT_SECONDS + self._limits.patience_seconds
        return WakeWaiter(redis_connections.connect(self._redis_url, timeout_seconds=seconds))

    @cached_property
    def listener_messages(self) -> ListenerMessages:
        """What tells a web of what came to the listeners whose programs wait there."""
        seconds = listener_messages.CLIENT_SECONDS
        return ListenerMessages(redis_connections.connect(self._redis_url, timeout_seconds=seconds))

    def wake_worker(self, endpoint_ids: Collection[str] = (), *, listener_ids: Collection[str] = ()) -> bool:
        """Have a worker look for due deliveries, at these endpoints if any are named.

        `listener_ids` are those of endpoints that may be listeners: no worker looks there, and their programs
        are told. Return whether Redis answered.
        """

        def wake() -> None:
            self._finds_run_awake = wake_flag.set_flag(
                self._queue, endpoint_ids, is_awake_likely=self._finds_run_awake, limits=self._limits
            )
            if listener_ids:
                listener_messages.send(self._redis, listener_ids)

        return self._notify_here_unless(self.backoff.run(wake), listener_ids)

    def notify_listeners(self, listener_ids: Collection[str]) -> bool:
        """Have those who wait for these listeners look; return whether Redis answered."""
        has_told = self.backoff.run(lambda: listener_messages.send(self._redis, listener_ids))
        return self._notify_here_unless(has_told, listener_ids)

    def _notify_here_unless(self, has_told: bool, listener_ids: Collection[str]) -> bool:
        """Tell at least those who wait in this process where Redis did not pass it on, and is left alone now.

        They rely on being told: their own connection to Redis may work meanwhile, or wait for longer.
        """
        if listener_ids and not has_told and "listener_messages" in vars(self):  # which only webs have made
            self.listener_messages.send_here(listener_ids)
        return has_told

    def schedule_wake_ups(self, moments: list[datetime]) -> bool:
        """Schedule a wake-up for each moment, one job a second however many deliveries fall due in it.

        Return whether Redis answered.
        """
        return self.backoff.run(lambda: self._schedule({math.ceil(moment.timestamp()) for moment in moments}))

    def start_run(self) -> None:
        """Mark a run as awake and clear the wake flag; to be called before the run's first claim.

        A wake-up for what is committed from here on sets the flag again.
        """
        self._awake_until = self._looked_at = 0.0
        self.keep_awake()
        self.waiter.start_run()
        self.backoff.run(lambda: self._redis.delete(wake_flag.FLAG_KEY))

    def take_request(self) -> WakeRequest | None:
        """Clear the wake flag if it may be set; if it was, return where there may be new deliveries.

        A run that listens asks Redis when it is told to, and now and then.
        """
        is_told, now = self.waiter.take(), time.monotonic()
        if self.waiter.is_listening and not is_told and now < self._looked_at + _LOOK_SECONDS:
            return None
        self._looked_at = now
        return self.backoff.ask(lambda: wake_flag.take(self._redis), otherwise=None)

    def end_run(self, *, expects_more: bool) -> None:
        """Unmark the run as awake; enqueue a job if the flag was set meanwhile or it `expects_more`."""
        self.waiter.end_run()
        self.backoff.run(lambda: self._redis.delete(wake_flag.AWAKE_KEY))
        self._awake_until = 0.0
        if self.take_request() or expects_more:
            self.wake_worker()

    def keep_awake(self) -> None:
        """Renew the mark of a run that reads the flag; without calls it expires after `awake_seconds`."""
        seconds = self._limits.awake_seconds
        if time.monotonic() > self._awake_until - seconds / 2:
            self._awake_until = time.monotonic() + seconds
            self.backoff.run(lambda: self._redis.set(wake_flag.AWAKE_KEY, 1, ex=seconds))

    def call_another_worker(self) -> None:
        """Enqueue a run for another worker, if one is idle; at most once a second."""
        if time.monotonic() > self._next_call_at:
            self._next_call_at = time.monotonic() + _CALL_INTERVAL_SECONDS
            self.backoff.run(self._enqueue_if_idle)

    def enqueue_mail(self) -> bool:
        """Have a worker send the e-mail that is due; return whether Redis answered."""
        return self.backoff.run(lambda: self._enqueue(SEND_MAIL))

    def enqueue_recovery(self) -> bool:
        """Have a worker go on with the recoveries that run; return whether Redis answered."""
        return self.backoff.run(lambda: self._enqueue(RECOVER))

    def redis_problem(self) -> str | None:
        """Ask Redis for each command that is needed; return what is the matter, or None if all is well."""
        problem = self.backoff.find_problem()
        return problem.text if problem else None

    def known_problem(self) -> str | None:
        """Return what is the matter, if that is known already; ask only whether it still is."""
        return self.redis_problem() if self.backoff.is_failing else None

    def _enqueue(self, function: str) -> None:
        self._queue.enqueue_call(function, timeout=task_jobs.timeout_seconds(function), result_ttl=0)

    def _enqueue_if_idle(self) -> None:
        if not self._queue.count:  # a job waits in the queue only while no worker is idle
            wake_flag.enqueue_run(self._queue)

    def _schedule(self, seconds: set[int]) -> None:
        for second in seconds:
            # The fixed id makes the second call for one second overwrite the first.
            self._scheduler.enqueue_at(
                datetime.fromtimestamp(second, UTC).replace(tzinfo=None),
                DELIVER_DUE,
                job_id=f"due-{second}",
                timeout=task_jobs.timeout_seconds(DELIVER_DUE),
                job_result_ttl=0,
            )
