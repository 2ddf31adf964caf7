"""The RQ worker that delivers, and the pool that keeps such workers running."""

import logging
import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Protocol

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus
from rq.worker_pool import WorkerData, WorkerPool

from webhooks_app.jobs import process
from webhooks_app.jobs.wake_ups import QUEUE_NAME, JsonJob

log = logging.getLogger(__name__)

# A forked child would inherit libcurl's and the TLS library's state, which neither of them allows; on macOS
# such a child crashes.
_SPAWN = multiprocessing.get_context("spawn")

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class BetweenJobs(Protocol):
    """The part of the delivery engine that a worker calls between two jobs."""

    def carry_on(self) -> bool: ...

    def wind_up(self) -> None: ...


class DeliveryWorker(SimpleWorker):
    """An RQ worker that runs jobs in its own process, so that connections last from one job to the next."""

    # RQ would wait for up to a minute before it tries again to reach a Redis that did not answer.
    max_connection_wait_time = 5.0

    def __init__(self, name: str, redis: Redis, *, engine: BetweenJobs, queue_name: str = QUEUE_NAME) -> None:
        super().__init__(
            [queue_name], name=name, connection=redis, job_class=JsonJob, serializer=JSONSerializer
        )
        self._engine = engine
        self._carries_on = False

    def work(self, *args: Any, **options: Any) -> bool:
        process.StopFlag.requested = lambda: self._stop_requested
        try:
            return super().work(*args, **options)
        finally:
            self._engine.wind_up()

    def dequeue_job_and_maintain_ttl(self, *args: Any, **options: Any) -> tuple[Job, Queue] | None:
        # Requests that the last run left in flight go on until there is a next job.
        self._carries_on = True
        while not self._stop_requested and self._engine.carry_on() and self._is_queue_empty():
            pass
        self._carries_on = False
        return super().dequeue_job_and_maintain_ttl(*args, **options)

    def _is_queue_empty(self) -> bool:
        try:
            return not self.queues[0].count
        except RedisError:
            return True

    @property
    def dequeue_timeout(self) -> int:
        return 1  # a request to stop is noticed within this time at the latest; see `heartbeat`

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop_requested = True
        if not self._carries_on:  # raised into the engine, rq's exception could lose an answer that just came
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        # Not rq's end at once: the pool passes on what a supervisor sends to each process anyway, on a busy
        # machine seconds later, and cut short a worker would leave what it holds to its lease.
        log.info("already_stopping")

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        # RQ loses a request to stop that comes just before or after a job: it either catches the exception
        # that it raises for it, or notes the request only once it waits for the next job.
        if self._stop_requested and self.get_state() == WorkerStatus.IDLE:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def teardown(self) -> None:
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]


class DeliveryWorkerPool(WorkerPool):
    """A pool that keeps `count` workers running: one that dies is replaced within about a second."""

    def __init__(self, redis: Redis, *, count: int, run_worker: Callable[[str], None]) -> None:
        """Prepare `count` workers; each one's process runs `run_worker` with the worker's name."""
        super().__init__([QUEUE_NAME], connection=redis, num_workers=count)
        self._run_worker = run_worker

    def get_worker_process(self, name: str, *_: Any, **__: Any) -> BaseProcess:
        return _SPAWN.Process(target=self._run_worker, args=(name,), name=name)

    def start_worker(self, *args: Any, **options: Any) -> None:
        # A request to stop that came between a worker's start and its entry in the pool's list would miss it,
        # and the pool would wait for it for ever. multiprocessing's tracker is there before, as it unblocks
        # the signals when it is started.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            if self.status != self.Status.STOPPED:
                super().start_worker(*args, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)

    def stop_worker(self, worker_data: WorkerData, sig: int = signal.SIGTERM) -> None:
        # Not rq's SIGINT: in a shell's background and under nohup that is ignored, and a worker that
        # has only just started would never hear of it.
        super().stop_worker(worker_data, sig)

    def handle_dead_worker(self, worker_data: WorkerData) -> None:
        if self.status != self.Status.STOPPED:
            log.warning("worker_died", extra={"pid": worker_data.pid, "status": worker_data.process.exitcode})
        super().handle_dead_worker(worker_data)


def listen_to_signals() -> None:
    """Restore the default handling of stop signals, which the pool blocks while it starts a worker."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
