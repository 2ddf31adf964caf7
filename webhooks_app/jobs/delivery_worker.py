"""The RQ worker that delivers."""

import logging
import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.utils import now, utcformat
from rq.worker import WorkerStatus

from webhooks_app.jobs import process
from webhooks_app.jobs.redis_backoff import RedisBackoff
from webhooks_app.jobs.task_jobs import QUEUE_NAME, TaskJob, TaskQueue

log = logging.getLogger(__name__)

# For `rq info` only; the entry of a worker that was killed lasts for minutes.
_HEARTBEAT_SECONDS = 10.0


class BetweenJobs(Protocol):
    """The part of the delivery engine that a worker calls between two jobs."""

    def work_in_flight(self) -> bool: ...

    def drain(self) -> None: ...


class DeliveryWorker(SimpleWorker):
    """An RQ worker that runs jobs in its own process, so that connections last from one job to the next.

    Of what stands in Redis it takes the names of tasks and nothing else. It takes no commands of RQ's (shut
    down, stop a job, suspend all workers), and keeps no registries of jobs, upon which maintenance would act.
    """

    queue_class = TaskQueue
    job_class = TaskJob

    def __init__(
        self,
        name: str,
        redis: Redis,
        *,
        engine: BetweenJobs,
        backoff: RedisBackoff | None = None,
        queue_name: str = QUEUE_NAME,
    ) -> None:
        """Prepare a worker that waits for jobs on `redis`.

        `backoff` is that of the rest of the process, so that it notices once that Redis fails. Its connection
        is asked while requests are in flight, so it should be quick to give up.
        """
        super().__init__([queue_name], name=name, connection=redis, serializer=JSONSerializer)
        self._engine = engine
        self._carries_on = False
        self._backoff = backoff or RedisBackoff(redis)
        self._next_heartbeat_at = 0.0
        # When it last took its turn at Redis, as it does at least each second between two jobs.
        self.turned_at = time.monotonic()

    def is_asked_to_stop(self) -> bool:
        """Return whether a signal has asked this process to end."""
        return bool(self._stop_requested)

    def work(self, *args: Any, **options: Any) -> bool:
        try:
            return super().work(*args, **options)
        except StopRequested:  # where rq does not expect it: just before its loop, or between two turns
            self.teardown()
            return False
        finally:
            self._engine.drain()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        # Requests that the last run left in flight go on until there is a next job.
        self._carries_on = True
        while not self._stop_requested and self._engine.work_in_flight() and self._is_queue_empty():
            pass
        self._carries_on = False
        self.set_state(WorkerStatus.IDLE)
        while True:
            self.heartbeat()
            job = self._take(timeout)
            if job is not None:
                return job, self.queues[0]
            if timeout is None:
                return None
            time.sleep(self._backoff.seconds_left)

    def _take(self, timeout_seconds: int | None) -> TaskJob | None:
        queue = self.queues[0]
        assert isinstance(queue, TaskQueue)
        return self._backoff.ask(lambda: queue.take(timeout_seconds), otherwise=None)

    def _is_queue_empty(self) -> bool:
        return not self._backoff.ask(lambda: self._backoff.redis.llen(self.queues[0].key), otherwise=0)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the task that the job names, without RQ's records of it, upon which others would act."""
        self.set_state(WorkerStatus.BUSY)
        try:
            with self.death_penalty_class(job.timeout, JobTimeoutException, job_id=job.id):
                job.perform()
        except Exception:
            log.exception("job_failed", extra={"job": job.func_name})
        finally:
            self.set_state(WorkerStatus.IDLE)

    @property
    def dequeue_timeout(self) -> int:
        return 1  # a request to stop is noticed within this time at the latest; see `heartbeat`

    @property
    def connection_timeout(self) -> int:
        # RQ would have ten seconds, in which a supervisor kills what it stops.
        return self.dequeue_timeout + 2

    def note_signals(self) -> None:
        """Note a request to stop that comes from now on, so that `work` ends as soon as it is called."""
        for number in process.STOP_SIGNALS:
            signal.signal(number, self._note_stop)

    def _note_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop_requested = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        # Not RQ's, which writes to Redis first: it would hang with it.
        self._stop_requested = True
        for number in process.STOP_SIGNALS:
            signal.signal(number, self.request_force_stop)
        # Raised into the engine, the exception could lose an answer that just came.
        if not self._carries_on and self.get_state() != WorkerStatus.BUSY:
            raise StopRequested

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        # Not rq's end at once: the pool passes on what a supervisor sends to each process anyway, on a busy
        # machine seconds later, and cut short a worker would leave what it holds to its lease.
        log.debug("already_stopping")

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        # A request to stop that comes just before or after a job is noted, and no more.
        if self._stop_requested and self.get_state() == WorkerStatus.IDLE:
            raise StopRequested
        self.turned_at = time.monotonic()
        if time.monotonic() >= self._next_heartbeat_at:
            self._next_heartbeat_at = time.monotonic() + _HEARTBEAT_SECONDS
            self._backoff.run(self._write_heartbeat)

    def _write_heartbeat(self) -> None:
        with self.connection.pipeline(transaction=False) as pipe:
            pipe.hset(self.key, mapping={"last_heartbeat": utcformat(now()), "state": self.get_state()})
            pipe.expire(self.key, self.worker_ttl + 60)
            pipe.execute()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        self._state = state  # others read it from the heartbeat

    def run_maintenance_tasks(self) -> None:
        """Forget workers that were killed; whatever else is in Redis, there is nothing to be put right."""
        self.last_cleaned_at = now()  # type: ignore[assignment]
        with suppress(ValueError):  # names that are no text
            self._backoff.run(lambda: worker_registration.clean_worker_registry(self.queues[0]))

    def register_birth(self) -> None:
        self._backoff.run(super().register_birth)

    def check_for_suspension(self, burst: bool) -> None:
        """Never suspend, whatever a key in Redis says."""

    def subscribe(self) -> None:
        """Take no commands."""

    def teardown(self) -> None:
        # First what deliveries depend on: where Redis hangs, the rest may outlast a supervisor's patience.
        self._engine.drain()
        if not self._backoff.is_failing:
            with suppress(RedisError):
                self.register_death()  # type: ignore[no-untyped-call]

    def _set_ip_address(self, connection: Redis) -> None:
        # RQ would need two more commands to be allowed. The redis library cannot parse the answer to one of
        # them where the path of a unix socket holds a space or an equals sign.
        self.ip_address = "unknown"
