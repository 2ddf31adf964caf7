"""The report that a process writes of itself. It loads no tables: a scheduler does without the ORM."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, column, table, update

import webhooks_app
from webhooks_app.core import clock, ids
from webhooks_app.db import database_clock, upsert
from webhooks_app.db.column_types import UtcDateTime
from webhooks_app.db.engines import WriteDatabase

WEB, WORKER, SCHEDULER = "web", "worker", "scheduler"
KINDS = (WEB, WORKER, SCHEDULER)

REPORT_SECONDS = 10.0
# So many endpoints do figures name, those with most; a label for each would flood what reads metrics.
LISTED_ENDPOINTS = 5
# The newest way of storing rows that this code reads, each of which includes those before: `stored_formats`.
READS_FORMAT = 2

# The columns of `ProcessReport`.
REPORTS = table(
    "process_reports",
    *(column(name) for name in ("id", "kind", "host", "pid", "version", "clock_ahead_ms", "reads_format")),
    *(column(name, UtcDateTime()) for name in ("started_at", "reported_at", "ended_at")),
    *(column(name, JSON()) for name in ("state", "counters")),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports: one process, from its start to its end."""

    id: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    reads_format: int = READS_FORMAT


def identify(kind: str) -> Identity:
    """Return the identity of this process, under a new id."""
    host = socket.gethostname()[:64]
    return Identity(ids.new("prc"), kind, host, os.getpid(), webhooks_app.__version__, clock.now())


def write(
    database: WriteDatabase,
    identity: Identity,
    *,
    state: Mapping[str, Any],
    counted: Mapping[str, float],
    is_first: bool,
    is_last: bool = False,
) -> bool:
    """Write the report; return False, with nothing written, if it is not the first and its row is gone.

    The counters of a row that is gone were added to the total, so the next report must leave them out. Raises
    the errors of the database.
    """
    with database.begin() as connection:
        now, clock_ahead = database_clock.compare(connection)
        values = {
            "reported_at": now,
            "clock_ahead_ms": round(clock_ahead / timedelta(milliseconds=1)),
            "ended_at": now if is_last else None,
            "state": dict(state),
            "counters": dict(counted),
        }
        if is_first:  # the row may exist all the same, if an earlier try committed and its answer was lost
            who = {name: getattr(identity, name) for name in Identity.__dataclass_fields__}
            upsert.insert_or_update(connection, REPORTS, who | values, key=["id"])
            return True
        own = update(REPORTS).where(REPORTS.c.id == identity.id)
        return connection.execute(own.values(values)).rowcount == 1
