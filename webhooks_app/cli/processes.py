"""The processes beside the web, as the shell and the supervisor start them."""

import os
import signal

from webhooks_app import config, tasks
from webhooks_app.core import logging_setup
from webhooks_app.jobs import process, scheduler, wake_ups
from webhooks_app.jobs.delivery_worker import DeliveryWorker, DeliveryWorkerPool, listen_to_signals
from webhooks_app.jobs.process import allow_open_files, announce_ready, clear_errors, when_orphaned


def run_workers() -> None:
    with clear_errors():
        settings = config.read()
        logging_setup.set_up(settings.log_level)
        redis = process.wait_until_ready(settings.redis_url)
        pool = DeliveryWorkerPool(redis, count=settings.workers, run_worker=run_worker)
        pool.start(logging_level="WARNING")


def run_worker(name: str) -> None:
    """One worker of the pool, in a process of its own."""
    listen_to_signals()
    allow_open_files()
    when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with clear_errors():
        settings = config.read()
        logging_setup.set_up(settings.log_level)
        redis = process.wait_until_ready(settings.redis_url)
        worker = DeliveryWorker(name, redis, engine=tasks.context().engine)
        process.gc_freeze()
        _look_at_once(settings.redis_url)
        announce_ready()
        worker.work(logging_level="WARNING")


def _look_at_once(redis_url: str) -> None:
    """A worker that was killed may have taken the last wake-up along; its successor waits for no sweep."""
    ours = wake_ups.WakeUps(redis_url)
    ours.end_run(expects_more=True)
    ours.enqueue_recovery()


def run_scheduler() -> None:
    with clear_errors():
        settings = config.read()
        logging_setup.set_up(settings.log_level)
        scheduler.run_scheduler(
            settings.redis_url, is_alone=settings.embedded_redis, when_ready=announce_ready
        )
