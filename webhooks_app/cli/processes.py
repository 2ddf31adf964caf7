"""The long-lived processes beside the web: `worker` and `scheduler`."""

import os
import signal

import click

from webhooks_app import config, tasks
from webhooks_app.config import Settings
from webhooks_app.core import logging_setup
from webhooks_app.db import schema_version
from webhooks_app.jobs import open_files, process
from webhooks_app.jobs.delivery_worker import DeliveryWorker, DeliveryWorkerPool, listen_to_signals
from webhooks_app.jobs.process import announce_ready, clear_errors, when_orphaned
from webhooks_app.jobs.scheduler import run_scheduler as schedule
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.transport.sender_limits import fit_open_files


@click.command()
def worker() -> None:
    """Run the delivery workers.

    There are as many as WEBHOOKS_WORKERS says; one that dies is replaced.
    """
    run_workers()


@click.command()
def scheduler() -> None:
    """Run the rq-scheduler process.

    It wakes the workers for retries, for the periodic sweep and for the hourly expiry.
    """
    run_scheduler()


def run_workers() -> None:
    with clear_errors():
        settings = config.read()
        logging_setup.set_up(settings.log_level)
        process.print_warnings(settings)
        schema_version.check_at_start(settings.database_url)
        warn_of_few_open_files(settings)
        redis = process.wait_until_ready(settings.redis_url)
        pool = DeliveryWorkerPool(redis, count=settings.workers, run_worker=run_worker)
        pool.start(logging_level="WARNING")


def warn_of_few_open_files(settings: Settings) -> None:
    """Raise the limit of open files; print one line where it lowers WEBHOOKS_IN_FLIGHT."""
    in_flight, _ = fit_open_files(settings.in_flight, open_files.allow())
    if in_flight < settings.in_flight:
        what = f"each worker has {in_flight} requests under way at most, not {settings.in_flight}"
        open_files.warn(f"{what} (WEBHOOKS_IN_FLIGHT).")


def run_worker(name: str) -> None:
    """One worker of the pool, in a process of its own."""
    listen_to_signals()
    open_files.allow()
    when_orphaned(lambda: os.kill(os.getpid(), signal.SIGTERM))
    with clear_errors():
        settings = config.read()
        logging_setup.set_up(settings.log_level)
        redis = process.redis_connection(settings.redis_url)
        context = tasks.context()
        backoff = context.services.wake_ups.backoff
        worker = DeliveryWorker(name, redis, engine=context.engine, backoff=backoff)
        process.gc_freeze()
        _look_at_once(context.services.wake_ups)
        announce_ready()
        worker.work(logging_level="WARNING")


def _look_at_once(ours: WakeUps) -> None:
    """A worker that was killed may have taken the last wake-up along; its successor waits for no sweep."""
    ours.end_run(expects_more=True)
    ours.enqueue_recovery()


def run_scheduler() -> None:
    with clear_errors():
        settings = config.read()
        logging_setup.set_up(settings.log_level)
        process.print_warnings(settings)
        schema_version.check_at_start(settings.database_url)
        schedule(settings.redis_url, is_alone=settings.embedded_redis, when_ready=announce_ready)
