"""The long-lived processes beside the web: `worker` and `scheduler`.

They load little: each library that one of them does without is imported where the other one uses it.
"""

import sys
from functools import partial

import click

from webhooks_app.cli.beginning import begin
from webhooks_app.config import Settings
from webhooks_app.jobs import child_process, open_files
from webhooks_app.jobs.prefork import Prefork
from webhooks_app.jobs.process import exit_on_start_error, gc_freeze
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


def run_workers(*, is_replaced: bool = False) -> None:
    """Keep WEBHOOKS_WORKERS workers running, in children of this process, until asked to end.

    `is_replaced`: whether something replaces this process when it ends: a single worker then needs no parent.
    """
    with exit_on_start_error():
        settings = begin()
        warn_of_few_open_files(settings)
        if settings.workers > 1:
            _load_for_all(settings)
        child_process.do_in_child(partial(_check, settings))
        if is_replaced and settings.workers == 1:
            _run_worker(settings)
            return
        gc_freeze()  # or a child's collections would write to each page that it shares with this process
        Prefork("worker", settings.workers, partial(_run_worker, settings)).supervise()


def warn_of_few_open_files(settings: Settings) -> None:
    """Raise the limit of open files; print one line where it lowers WEBHOOKS_IN_FLIGHT."""
    in_flight, _ = fit_open_files(settings.in_flight, open_files.raise_limit())
    if in_flight < settings.in_flight:
        what = f"each worker has {in_flight} requests under way at most, not {settings.in_flight}"
        open_files.warn(f"{what} (WEBHOOKS_IN_FLIGHT).")


def run_scheduler() -> None:
    """Run the scheduler until asked to end."""
    with exit_on_start_error():
        settings = begin()
        child_process.do_in_child(partial(_check, settings))
        from webhooks_app.cli import scheduler_process

        scheduler_process.run(settings)


def _load_for_all(settings: Settings) -> None:
    """Load what workers use, once for several; a single one takes less memory if its parent has nothing."""
    # Elsewhere a system library may not survive a fork.
    if sys.platform == "linux":
        from webhooks_app.cli import worker_process

        worker_process.load_libraries(settings.database_url)


def _check(settings: Settings) -> None:
    """See `start_checks.check`; to be called in a child, as it loads what asks a database."""
    from webhooks_app.cli import start_checks

    start_checks.check(settings)


def _run_worker(settings: Settings) -> None:
    from webhooks_app.cli import worker_process

    worker_process.run(settings)
