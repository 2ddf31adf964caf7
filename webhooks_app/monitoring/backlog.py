"""How much waits to be delivered: counted now and then by one process for all, and where it is going.

A count reads the whole queue, so nobody who asks for figures makes one.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, column, delete, select, text, update

from webhooks_app.db import database_clock, upsert
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import BacklogSample, Heartbeat
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.monitoring.own_report import LISTED_ENDPOINTS

SAMPLE_SECONDS = 15.0
# A count of a million takes a tenth of a second; so counting costs a hundredth of a processor at most.
REST_FACTOR = 100
KEPT_FOR = timedelta(hours=1)
SLOPE_OVER = timedelta(minutes=10)
_SHORTEST_SLOPE = timedelta(minutes=2)
_HEARTBEAT = "backlog"
# If the process that counts dies, another one counts after this time.
_TURN = timedelta(minutes=1)

# Over the queue's index on (endpoint, due time), which holds all that is asked for. What waits for a listener
# is no worker's.
_QUEUE = (
    text("""
    WITH endpoint AS (
        SELECT endpoint_id, count(*) AS pending, min(next_attempt_at) AS oldest_at,
            sum(CASE WHEN next_attempt_at <= :now THEN 1 ELSE 0 END) AS due
        FROM pending_deliveries
        WHERE endpoint_id NOT IN (SELECT l.endpoint_id FROM listeners l) GROUP BY endpoint_id
    )
    SELECT endpoint_id, due, sum(pending) OVER () AS all_pending, sum(due) OVER () AS all_due,
        min(oldest_at) OVER () AS oldest_at
    FROM endpoint ORDER BY due DESC, endpoint_id LIMIT :count
    """)
    .bindparams(bindparam("now", type_=UtcDateTime))
    .columns(
        column("endpoint_id"),
        column("due"),
        column("all_pending"),
        column("all_due"),
        column("oldest_at", UtcDateTime),
    )
)
# Workspace by workspace, so that of the index on what needs attention only what is held is read.
_HELD = text("""
    SELECT count(*) FROM workspaces w JOIN deliveries d ON d.workspace_id = w.id AND d.trouble = 'held'
""")


@dataclass(frozen=True, slots=True)
class Sample:
    """What waited at a moment; see `BacklogSample`."""

    at: datetime
    pending: int
    due: int
    held: int
    oldest_due_at: datetime | None
    endpoints: list[list[object]]
    duration_ms: int


def sample_if_due(databases: Databases) -> bool:
    """Count, if nobody did lately; return whether this process did. Raises the errors of the database."""
    if not _is_our_turn(databases.write):
        return False
    began = time.monotonic()
    with databases.read.connect_autocommit() as connection:
        now = database_clock.read(connection)
        pending, due, oldest_due_at, endpoints = _count_queue(connection, now)
        held = connection.execute(_HELD).scalar_one()
    seconds = time.monotonic() - began
    sample = Sample(now, pending, due, held, oldest_due_at, endpoints, round(seconds * 1000))
    _store(databases.write, sample, rest=timedelta(seconds=max(SAMPLE_SECONDS, REST_FACTOR * seconds)))
    return True


def _is_our_turn(database: WriteDatabase) -> bool:
    """Take the turn if the moment has come that the heartbeat names."""
    with database.begin() as connection:
        now = database_clock.read(connection)
        return upsert.insert_or_change(
            connection,
            Heartbeat,
            {"name": _HEARTBEAT, "at": now + _TURN},
            key=["name"],
            changes={"at": now + _TURN},
            where=Heartbeat.at <= now,
        )


def _count_queue(
    connection: Connection, now: datetime
) -> tuple[int, int, datetime | None, list[list[object]]]:
    rows = connection.execute(_QUEUE, {"now": now, "count": LISTED_ENDPOINTS}).all()
    if not rows:
        return 0, 0, None, []
    oldest_at = rows[0].oldest_at
    endpoints: list[list[object]] = [[row.endpoint_id, int(row.due)] for row in rows if row.due]
    return (
        int(rows[0].all_pending),
        int(rows[0].all_due),
        oldest_at if oldest_at <= now else None,
        endpoints,
    )


def _store(database: WriteDatabase, sample: Sample, *, rest: timedelta) -> None:
    row = {each.name: getattr(sample, each.name) for each in fields(Sample)}
    with database.begin() as connection:
        upsert.insert_or_update(connection, BacklogSample, row, key=["at"])
        connection.execute(delete(BacklogSample).where(BacklogSample.at < sample.at - KEPT_FOR))
        next_at = update(Heartbeat).where(Heartbeat.name == _HEARTBEAT)
        connection.execute(next_at.values(at=sample.at + rest))


def read(connection: Connection) -> list[Sample]:
    """Return the samples of the last hour, the oldest first; only the newest has its endpoints."""
    columns = [getattr(BacklogSample, each.name) for each in fields(Sample) if each.name != "endpoints"]
    rows = connection.execute(select(*columns).order_by(BacklogSample.at)).all()
    samples = [Sample(**row._mapping, endpoints=[]) for row in rows]
    if samples:
        newest = select(BacklogSample.endpoints).where(BacklogSample.at == samples[-1].at)
        samples[-1] = replace(samples[-1], endpoints=connection.execute(newest).scalar_one())
    return samples


def slope_per_minute(samples: Sequence[Sample]) -> float | None:
    """Return how many more are due each minute, over the last ten; None while there is too little to tell.

    Pure.
    """
    recent = [each for each in samples if each.at >= samples[-1].at - SLOPE_OVER]
    if not recent or recent[-1].at - recent[0].at < _SHORTEST_SLOPE:
        return None
    minutes = (recent[-1].at - recent[0].at) / timedelta(minutes=1)
    return (recent[-1].due - recent[0].due) / minutes
