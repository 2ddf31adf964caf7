"""One worker of the pool, in a process of its own."""

import time
import uuid
from dataclasses import replace
from typing import Any

from webhooks_app import tasks
from webhooks_app.cli.reporting import reports_of
from webhooks_app.config import Settings
from webhooks_app.db import engines
from webhooks_app.jobs import process, redis_start
from webhooks_app.jobs.delivery_worker import DeliveryWorker
from webhooks_app.jobs.process import announce_ready, exit_on_start_error
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.own_report import WORKER
from webhooks_app.monitoring.tracing import tracer_of
from webhooks_app.transport import curl_handles


def load_libraries(database_url: str) -> None:
    """Load what a worker would load when it first connects, for workers that this process forks."""
    engines.open_engine(database_url, waits_for_disk=False).dispose()
    curl_handles.initialize_libcurl()


def run(settings: Settings) -> None:
    """Work until asked to stop; the log and the limit of open files are those that the pool has set up."""
    with exit_on_start_error():
        redis = redis_start.connect(settings.redis_url)
        context = tasks.context()
        backoff = context.services.wake_ups.backoff
        worker = DeliveryWorker(uuid.uuid4().hex, redis, engine=context.engine, backoff=backoff)
        tasks.use_context(replace(context, should_stop=worker.is_asked_to_stop))
        process.gc_freeze()
        worker.note_signals()  # before it says `ready`, and before it takes a wake-up
        _look_at_once(context.services.wake_ups)
        announce_ready()

        def describe() -> dict[str, Any]:
            at = context.engine.describe()
            idle_seconds = round(time.monotonic() - worker.turned_at, 1)
            return at | {"silent_seconds": min(at["silent_seconds"], idle_seconds)}

        with tracer_of(WORKER) as tracer, reports_of(context.services, WORKER, describe):
            context.engine.trace_with(tracer)
            worker.work(logging_level="WARNING")


def _look_at_once(ours: WakeUps) -> None:
    """A worker that was killed may have taken the last wake-up along; its successor waits for no sweep."""
    ours.end_run(expects_more=True)
    ours.enqueue_recovery()
