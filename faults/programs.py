"""The platform's own processes, as the nursery starts them: what `worker.py` and gunicorn run, but forked."""

import multiprocessing
import sys
from datetime import UTC, datetime, timedelta

import gunicorn.app.wsgiapp  # type: ignore[import-untyped]

from webhooks_app import app as _imported_for_the_forks_to_come  # noqa: F401
from webhooks_app import clock, processes


def web(workers: int) -> None:
    # Imported before it forks, so that a killed web worker is replaced in milliseconds.
    sys.argv = ["gunicorn", "wsgi:app", "--preload", "--workers", str(workers)]
    gunicorn.app.wsgiapp.run()


def pool() -> None:
    """`worker.py`, its workers forked instead of spawned; no libcurl handle exists before the fork."""
    processes._SPAWN = multiprocessing.get_context("fork")  # type: ignore[assignment]
    processes.run_workers()


def scheduler() -> None:
    processes.run_scheduler()


def pool_with_clock_moved(seconds: float) -> None:
    _move_clock(seconds)
    pool()


def web_with_clock_moved(workers: int, seconds: float) -> None:
    _move_clock(seconds)
    web(workers)


def _move_clock(seconds: float) -> None:
    moved = timedelta(seconds=seconds)
    clock.now = lambda: datetime.now(UTC) + moved
