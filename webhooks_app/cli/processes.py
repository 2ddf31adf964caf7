"""The long-lived processes beside the web: `worker` and `scheduler`."""

import click

from webhooks_app.cli.beginning import begin
from webhooks_app.cli.reporting import reports_of_scheduler
from webhooks_app.config import Settings
from webhooks_app.jobs import open_files, process
from webhooks_app.jobs.delivery_worker import DeliveryWorkerPool
from webhooks_app.jobs.process import announce_ready, clear_errors
from webhooks_app.jobs.scheduler import SchedulerState
from webhooks_app.jobs.scheduler import run_scheduler as schedule
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
        settings = begin()
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
    """Run one worker of the pool; to be called in a process of its own."""
    # Not at the top: it takes a quarter of the memory of a pool or a scheduler, which have no use for it.
    from webhooks_app.cli import worker_process

    worker_process.run(name)


def run_scheduler() -> None:
    with clear_errors():
        settings, state = begin(), SchedulerState()
        with reports_of_scheduler(settings, state.describe):
            schedule(
                settings.redis_url, is_alone=settings.embedded_redis, when_ready=announce_ready, state=state
            )
