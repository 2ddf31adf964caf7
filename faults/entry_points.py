"""The functions that forked processes run: web, workers, scheduler, retention and migrations."""

import re
import resource
import signal
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from faults import crash_report
from webhooks_app import config
from webhooks_app.app import create_app
from webhooks_app.cli import processes
from webhooks_app.cli import web as cli_web
from webhooks_app.cli.schema import downgrade, upgrade
from webhooks_app.core import clock
from webhooks_app.db import delivery_inserts, event_inserts
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.db.models import PendingDelivery
from webhooks_app.deliveries import retention
from webhooks_app.services import open_services
from webhooks_app.transport import sender_limits
from webhooks_app.worker import claims

# The one name that the resolver of `with_names_file` has an address of its own for.
RECEIVER = "receiver.test"


def web(workers: int) -> None:
    crash_report.install()
    cli_web.run_web(workers)


def pool() -> None:
    crash_report.install()
    processes.run_workers()


def scheduler() -> None:
    processes.run_scheduler()


def with_clock_offset(seconds: float, function: str, *arguments: Any) -> None:
    """Call another function of this module with the clock so many seconds ahead."""
    offset = timedelta(seconds=seconds)
    clock.now = lambda: datetime.now(UTC) + offset
    globals()[function](*arguments)


def with_clock_file(path: str, function: str, *arguments: Any) -> None:
    """Call another function with the clock ahead by the seconds that a file holds, which may change."""
    file = Path(path)
    clock.now = lambda: datetime.now(UTC) + timedelta(seconds=float(file.read_text()))
    globals()[function](*arguments)


def with_names_file(path: str, function: str, *arguments: Any) -> None:
    """Call another function with a resolver whose only name, RECEIVER, has the address that a file holds.

    Its answers are fresh for a second.
    """
    file, ask = Path(path), socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        is_receiver = host == RECEIVER.encode()
        return ask(file.read_text() if is_receiver else host, *rest, **options)

    socket.getaddrinfo = getaddrinfo
    limits = sender_limits.DEFAULT_LIMITS
    sender_limits.DEFAULT_LIMITS = replace(limits, resolver=replace(limits.resolver, fresh_seconds=1.0))
    globals()[function](*arguments)


def with_few_files(count: int, function: str, *arguments: Any) -> None:
    """Call another function with a hard limit of open files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    globals()[function](*arguments)


def run_retention(days: int) -> None:
    """Run retention again and again, `days` ahead of time."""
    databases = open_services(config.read(), waits_for_disk=False).databases
    while True:
        retention.delete_expired(databases, now=clock.now() + timedelta(days=days))


def hold_claims(held: str) -> None:
    """Claim everything that is due, note in the file `held` how many, and stay in that transaction."""
    settings = config.read()
    database = open_services(settings, waits_for_disk=False).databases.write
    with database.begin() as connection:
        endpoint_ids = connection.execute(select(PendingDelivery.endpoint_id).distinct()).scalars()
        quotas = dict.fromkeys(endpoint_ids, 1000)
        lease = timedelta(seconds=settings.lease_seconds)
        claimed = claims.claim_due(connection, quotas, now=clock.now(), lease=lease)
        Path(held).write_text(str(len(claimed)))
        signal.pause()


def migrate(folder: str, revision: str) -> None:
    """Migrate the database up to `head`, or down to an older revision."""
    with create_app(database_limits=COMMAND_LIMITS).app_context():
        if revision == "head":
            upgrade(directory=folder)
        else:
            downgrade(directory=folder, revision=revision)


def as_next_release(function: str, *arguments: Any) -> None:
    """Call another function as the next release would run it: its inserts of deliveries fill a new column."""
    for module, name in (
        (delivery_inserts, "_SQLITE_DELIVERIES"),
        (delivery_inserts, "_POSTGRESQL"),
        (event_inserts, "_POSTGRESQL"),
    ):
        setattr(module, name, _filling_new_column(getattr(module, name)))
    globals()[function](*arguments)


def _filling_new_column(insert: str) -> str:
    changed = re.sub(r"(INSERT INTO deliveries\s+\()id", r"\1made_by, id", insert)
    changed = re.sub(r"(VALUES \(|SELECT )(\?, |id, workspace_id, )", r"\1'new', \2", changed, count=1)
    assert changed.count("'new'") == changed.count("made_by") == 1, changed
    return changed
