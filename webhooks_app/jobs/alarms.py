"""Alarms: no worker delivers what is due, or no scheduler wakes one."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, column, text

from webhooks_app.core import ids
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.loose_index_scan import EARLIEST_DUE_AT, PENDING_ENDPOINTS
from webhooks_app.db.models import Heartbeat
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.jobs.task_jobs import JOB_TIMEOUT_SECONDS
from webhooks_app.monitoring.facts import SWEEP_HEARTBEAT
from webhooks_app.monitoring.problem_codes import HealthProblem, ProblemCode, Severity

# A thousand endpoints that all time out after 30 seconds, 400 at once, keep each other waiting this long.
LONGEST_OVERDUE = timedelta(minutes=2)
# Another worker may lock rows that it is claiming for this long, and so may the database for a worker that
# was lost.
_CLAIM_MARGIN = timedelta(seconds=30)
# The only worker may run one job for that long before it runs the sweep.
LONGEST_SILENCE = timedelta(seconds=JOB_TIMEOUT_SECONDS + 60)
# Without any worker every endpoint that has due deliveries is overdue, so the first thousand are enough to
# tell, and they are cheap enough for anybody to ask.
_ENDPOINTS = 1000

_WAITING_SQL = text(f"""
    {PENDING_ENDPOINTS}
    SELECT due.due_at, h.last_success_at, h.last_failure_at, h.newest_attempted_id
    FROM (
        SELECT endpoint_id, {EARLIEST_DUE_AT} AS due_at
        FROM pending_endpoint
        WHERE endpoint_id IS NOT NULL AND endpoint_id NOT IN (SELECT l.endpoint_id FROM listeners l)
        LIMIT :count
    ) AS due
    LEFT JOIN endpoint_health h ON h.endpoint_id = due.endpoint_id
    WHERE due.due_at <= :now
""")
_WAITING = _WAITING_SQL.bindparams(bindparam("now", type_=UtcDateTime)).columns(
    *(column(name, UtcDateTime) for name in ("due_at", "last_success_at", "last_failure_at")),
    column("newest_attempted_id"),
)


def longest_overdue(connection: Connection, now: datetime) -> timedelta | None:
    """Return for how long the longest overdue delivery has waited for a worker; None if none is due.

    A worker is at it while attempts are made at its endpoint, however slowly its backlog goes down: workers
    claim an endpoint's deliveries in the order in which they fell due, so its oldest one goes next. Where a
    delivery was attempted that did not even exist when the oldest one fell due, that one was passed over, so
    no attempt speaks for it: its rows are held by a transaction that does not end. What waits for a listener
    waits for no worker.
    """
    rows = connection.execute(_WAITING, {"after": "", "now": now, "count": _ENDPOINTS}).all()
    return max((now - _waiting_since(*row) for row in rows), default=None)


def _waiting_since(
    due_at: datetime,
    last_success_at: datetime | None,
    last_failure_at: datetime | None,
    newest_attempted_id: str | None,
) -> datetime:
    """Return since when no worker is at the endpoint's oldest due delivery. Pure."""
    if newest_attempted_id and ids.created_at(newest_attempted_id) > due_at + _CLAIM_MARGIN:
        return due_at
    return max(moment for moment in (due_at, last_success_at, last_failure_at) if moment is not None)


def record_heartbeat(database: WriteDatabase, *, now: datetime) -> None:
    """Record that the sweep ran now."""
    with database.begin() as connection:
        upsert.insert_or_update(connection, Heartbeat, {"name": SWEEP_HEARTBEAT, "at": now}, key=["name"])


def problems(
    longest_overdue: timedelta | None, swept_at: datetime | None, *, now: datetime, up_since: datetime
) -> list[HealthProblem]:
    """Return what is wrong.

    `longest_overdue` is what the function of that name returns, `swept_at` when the sweep last ran, None if
    it never did. `up_since` is when this web process started: a new platform is given time for its first
    sweep.
    """
    found: list[HealthProblem] = []
    if longest_overdue is not None and longest_overdue > LONGEST_OVERDUE:
        text = (
            f"Deliveries are not being sent: one has been due for {_minutes(longest_overdue)}. "
            "Check that a worker (worker.py) runs and reaches Redis and the database."
        )
        found.append(HealthProblem(ProblemCode.OVERDUE, Severity.FAILING, text, now - longest_overdue))
    silence = now - max(swept_at or up_since, up_since)
    if silence > LONGEST_SILENCE:
        text = (
            f"The scheduler has been silent for {_minutes(silence)}, so retries may be late. "
            "Check that `python -m webhooks_app scheduler` and a worker run."
        )
        found.append(HealthProblem(ProblemCode.SWEEP_SILENT, Severity.FAILING, text, now - silence))
    return found


def _minutes(wait: timedelta) -> str:
    minutes = int(wait.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
