"""The processes beside the web: the delivery workers and the scheduler."""

import logging
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus
from rq.worker_pool import WorkerData, WorkerPool
from sqlalchemy.exc import OperationalError

from webhooks_app import config, heap, logs, queue, tasks
from webhooks_app.config import ConfigError
from webhooks_app.queue import NoRedis

log = logging.getLogger(__name__)

# A forked child would inherit libcurl's and the TLS library's state, which neither of them allows; on macOS
# such a child crashes.
_SPAWN = multiprocessing.get_context("spawn")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ORPHAN_CHECK_SECONDS = 0.5
# Twice the most that WEBHOOKS_IN_FLIGHT allows, and below the most that macOS grants (10,240).
_OPEN_FILES = 4096


class DeliveryWorker(SimpleWorker):
    """Runs jobs in its own process, which keeps the connections of one job for the next."""

    # Redis is back when it is back; rq would let a minute pass before it looks again.
    max_connection_wait_time = 5.0

    def work(self, *args: Any, **options: Any) -> bool:
        tasks.Stop.requested = lambda: self._stop_requested
        try:
            return super().work(*args, **options)
        finally:
            tasks.engine().wind_up()

    def dequeue_job_and_maintain_ttl(self, *args: Any, **options: Any) -> tuple[Job, Queue] | None:
        # What the last run left in flight goes on until there is a next job.
        while not self._stop_requested and tasks.engine().carry_on() and self._is_queue_empty():
            pass
        return super().dequeue_job_and_maintain_ttl(*args, **options)

    def _is_queue_empty(self) -> bool:
        try:
            return not self.queues[0].count
        except RedisError:
            return True

    @property
    def dequeue_timeout(self) -> int:
        return 1  # so long, and no longer, may a request to stop go unnoticed; see `heartbeat`

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop_requested = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        # A request to stop that comes just before or after a job is either swallowed with the exception that
        # rq raises for it, or noted only once rq has already gone to wait for the next job.
        if self._stop_requested and self.get_state() == WorkerStatus.IDLE:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    def teardown(self) -> None:
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]


class _Pool(WorkerPool):
    """Keeps so many workers running: whichever dies is replaced within about a second."""

    def get_worker_process(self, name: str, *_: Any, **__: Any) -> BaseProcess:
        return _SPAWN.Process(target=_work, args=(name,), name=name)

    def start_worker(self, *args: Any, **options: Any) -> None:
        # A request to stop that came between a worker's start and its entry in the pool's list would miss it,
        # and the pool would wait for it for ever.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            if self.status != self.Status.STOPPED:
                super().start_worker(*args, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)

    def handle_dead_worker(self, worker_data: WorkerData) -> None:
        if self.status != self.Status.STOPPED:
            log.warning("worker_died", extra={"pid": worker_data.pid, "status": worker_data.process.exitcode})
        super().handle_dead_worker(worker_data)


def run_workers() -> None:
    with clear_errors():
        settings = config.read()
        logs.set_up(settings.log_level)
        redis = queue.wait_until_ready(settings.redis_url)
        _Pool([queue.QUEUE_NAME], connection=redis, num_workers=settings.workers).start(
            logging_level="WARNING"
        )


def _work(name: str) -> None:
    """One worker of the pool, in a process of its own."""
    _listen_to_signals()
    _allow_open_files()
    when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with clear_errors():
        settings = config.read()
        logs.set_up(settings.log_level)
        worker = DeliveryWorker(
            [queue.QUEUE_NAME],
            name=name,
            connection=queue.wait_until_ready(settings.redis_url),
            job_class=queue.JsonJob,
            serializer=JSONSerializer,
        )
        tasks.engine()
        heap.freeze()
        _look_at_once(settings.redis_url)
        announce_ready()
        worker.work(logging_level="WARNING")


def _listen_to_signals() -> None:
    """As a process does that nobody prepared: the pool holds them back while it starts a worker."""
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def _look_at_once(redis_url: str) -> None:
    """A worker that was killed may have taken the last wake-up along; its successor waits for no sweep."""
    wake_ups = queue.WakeUps(redis_url)
    wake_ups.end(expects_more=True)
    wake_ups.recover()


def _allow_open_files() -> None:
    """Room for a socket per request in flight and for those kept; macOS allows 256 to begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_scheduler() -> None:
    with clear_errors():
        settings = config.read()
        logs.set_up(settings.log_level)
        queue.run_scheduler(settings.redis_url, is_alone=settings.embedded_redis, when_ready=announce_ready)


def announce_ready() -> None:
    """Tells whoever reads the output, the supervisor above all, that this process does its work now."""
    print("ready", flush=True)


def when_orphaned(act: Callable[[], None]) -> None:
    """Calls `act`, in a thread, once the process that started this one through multiprocessing has died."""
    parent = multiprocessing.parent_process()

    def watch(parent_id: int) -> None:
        while os.getppid() == parent_id:
            time.sleep(_ORPHAN_CHECK_SECONDS)
        act()

    if parent is not None and parent.pid is not None:
        threading.Thread(target=watch, args=(parent.pid,), daemon=True).start()


@contextmanager
def clear_errors() -> Iterator[None]:
    """For processes: what a person has to put right ends them with one line that says what it is."""
    try:
        yield
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)
    except NoRedis as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
    except OperationalError as error:
        [reason, *_] = str(error.orig).splitlines()
        print(f"error: The database does not answer as it should: {reason}", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
