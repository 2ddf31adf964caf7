"""The platform's own processes, as the nursery starts them: what `worker.py` and gunicorn run, but forked."""

import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gunicorn.app.wsgiapp  # type: ignore[import-untyped]
from flask_migrate import downgrade, upgrade
from sqlalchemy import Column, Connection, String

from faults import crash_report
from webhooks_app import config
from webhooks_app.app import create_app
from webhooks_app.cli import processes
from webhooks_app.core import clock
from webhooks_app.db.models import Delivery, Event, PendingDelivery
from webhooks_app.deliveries import retention
from webhooks_app.extensions import open_services
from webhooks_app.jobs import delivery_worker


def web(workers: int) -> None:
    crash_report.noted()
    # Imported before it forks, so that a killed web worker is replaced in milliseconds.
    sys.argv = ["gunicorn", "wsgi:app", "--preload", "--workers", str(workers)]
    gunicorn.app.wsgiapp.run()


def pool() -> None:
    """`worker.py`, its workers forked instead of spawned; no libcurl handle exists before the fork."""
    crash_report.noted()
    delivery_worker._SPAWN = multiprocessing.get_context("fork")  # type: ignore[assignment]
    processes.run_workers()


def scheduler() -> None:
    processes.run_scheduler()


def pool_with_clock_moved(seconds: float) -> None:
    _move_clock(seconds)
    pool()


def web_with_clock_moved(workers: int, seconds: float) -> None:
    _move_clock(seconds)
    web(workers)


def pool_with_clock_of(path: str) -> None:
    _follow_clock(path)
    pool()


def web_with_clock_of(path: str, workers: int) -> None:
    _follow_clock(path)
    web(workers)


def retain(days: int, seed: str, chance: float) -> None:
    """Retention on and on, `days` ahead of time, until it dies with a batch deleted and not committed."""
    dice, drop = random.Random(seed), retention._drop_deliveries

    def drop_or_die(connection: Connection, some: Sequence[str]) -> int:
        count = drop(connection, some)
        if dice.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)
        return count

    retention._drop_deliveries = drop_or_die
    databases = open_services(config.read(), waits_for_disk=False).databases
    while True:
        retention.run(databases, now=clock.now() + timedelta(days=days))


def migrate(folder: str, revision: str) -> None:
    with create_app().app_context():
        if revision == "head":
            upgrade(directory=folder)
        else:
            downgrade(directory=folder, revision=revision)


def upgraded(function: str, *arguments: Any) -> None:
    """Another program as the next release would be: its models have a column more, which it fills."""
    for model in (Event, Delivery, PendingDelivery):
        model.made_by = Column("made_by", String(20), default="new")
    globals()[function](*arguments)


def _follow_clock(path: str) -> None:
    """The clock goes ahead by as many seconds as stand in the file, which change while this runs."""
    file = Path(path)
    clock.now = lambda: datetime.now(UTC) + timedelta(seconds=float(file.read_text()))


def _move_clock(seconds: float) -> None:
    moved = timedelta(seconds=seconds)
    clock.now = lambda: datetime.now(UTC) + moved
