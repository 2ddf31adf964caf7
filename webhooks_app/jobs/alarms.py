"""Noticing that nobody works: no worker that delivers, or no scheduler that wakes one."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, column, select, text

from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Heartbeat
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.jobs.wake_ups import JOB_SECONDS

SWEEP = "sweep"
# A thousand endpoints that all hang for 30 seconds leave each other waiting this long with 400 in flight.
LONGEST_WAIT = timedelta(minutes=2)
# The only worker may be at one job for that long before it comes to the sweep.
LONGEST_SILENCE = timedelta(seconds=JOB_SECONDS + 60)
# Enough to tell, since with no worker any endpoint does, and cheap enough for anybody to ask.
_LANES = 1000

_WAITING_SQL = text("""
    WITH RECURSIVE lane (endpoint_id) AS (
        SELECT * FROM (SELECT endpoint_id FROM pending_deliveries ORDER BY endpoint_id LIMIT 1) AS first
        UNION ALL
        SELECT (
            SELECT p.endpoint_id FROM pending_deliveries p
            WHERE p.endpoint_id > lane.endpoint_id ORDER BY p.endpoint_id LIMIT 1
        ) FROM lane WHERE lane.endpoint_id IS NOT NULL
    )
    SELECT due.due_at, h.last_success_at, h.last_failure_at
    FROM (
        SELECT endpoint_id, (
            SELECT min(p.next_attempt_at) FROM pending_deliveries p WHERE p.endpoint_id = lane.endpoint_id
        ) AS due_at
        FROM lane WHERE endpoint_id IS NOT NULL LIMIT :count
    ) AS due
    LEFT JOIN endpoint_health h ON h.endpoint_id = due.endpoint_id
    WHERE due.due_at <= :now
""")
_WAITING = _WAITING_SQL.bindparams(bindparam("now", type_=UtcDateTime)).columns(
    *(column(name, UtcDateTime) for name in ("due_at", "last_success_at", "last_failure_at"))
)


@dataclass(slots=True, frozen=True)
class Liveness:
    """`overdue`: see `overdue`. `swept_at`: when the sweep last ran; None when it never did."""

    overdue: timedelta | None
    swept_at: datetime | None


def overdue(connection: Connection, now: datetime) -> timedelta | None:
    """How long a due delivery has waited at most while nothing was sent to its endpoint; None if none is due.

    A backlog that its endpoint takes slowly is no alarm: each attempt there shows that a worker is at it.
    """
    rows = connection.execute(_WAITING, {"now": now, "count": _LANES}).all()
    waits = [now - max(moment for moment in row if moment is not None) for row in rows]
    return max(waits, default=None)


def beat(database: WriteDatabase, *, now: datetime) -> None:
    """Notes that the sweep ran."""
    with database.begin() as connection:
        upsert.insert_or_update(connection, Heartbeat, {"name": SWEEP, "at": now}, key=["name"])


def read(connection: Connection, now: datetime) -> Liveness:
    swept_at = connection.scalar(select(Heartbeat.at).where(Heartbeat.name == SWEEP))
    return Liveness(overdue(connection, now), swept_at)


def messages(pulse: Liveness, *, now: datetime, up_since: datetime) -> list[str]:
    """What is wrong, a sentence each, for a banner and for whoever watches; `up_since`: of this web process.

    A platform that has just been started is given time for its first sweep.
    """
    found: list[str] = []
    if pulse.overdue is not None and pulse.overdue > LONGEST_WAIT:
        found.append(
            f"Deliveries are not being sent: one has been due for {_minutes(pulse.overdue)}. "
            "Check that a worker (worker.py) runs and reaches Redis and the database."
        )
    silence = now - max(pulse.swept_at or up_since, up_since)
    if silence > LONGEST_SILENCE:
        found.append(
            f"The scheduler has been silent for {_minutes(silence)}, so retries may be late. "
            "Check that `python -m webhooks_app scheduler` and a worker run."
        )
    return found


def _minutes(wait: timedelta) -> str:
    minutes = int(wait.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
