"""The reports of the platform's processes: reading all, and forgetting those that are over."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.orm import Session

from webhooks_app.db import database_clock, upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import TOTAL_ID, ProcessReport
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.monitoring import counters
from webhooks_app.monitoring.own_report import LISTED_ENDPOINTS, READS_FORMAT, WORKER

# Three reports that did not come. A process that is gone shows by then, and within 45 seconds on every page.
SILENT_AFTER = timedelta(seconds=30)
# A killed process is reported for this long, so that whoever killed it on purpose is not reminded for ever.
FORGOTTEN_AFTER = timedelta(hours=1)
# A process that dies again and again leaves one report each time; more than these are forgotten at once.
MOST_OVER = 20
_NO_LONGER_HEARD = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as it last reported; moments by the database's clock but for `started_at`, its own."""

    id: str
    kind: str
    host: str
    pid: int
    version: str
    started_at: datetime
    reported_at: datetime
    clock_ahead_ms: int
    ended_at: datetime | None
    reads_format: int | None
    state: Mapping[str, Any]

    @property
    def reads_all(self) -> bool:
        """Whether it can read whatever the code that asks may write; the version before cannot."""
        return (self.reads_format or 0) >= READS_FORMAT

    @property
    def name(self) -> str:
        return f"{self.host}:{self.pid}"

    @property
    def began_at(self) -> datetime:
        """When it was started, by the database's clock."""
        return self.started_at - timedelta(milliseconds=self.clock_ahead_ms)

    def is_alive(self, now: datetime) -> bool:
        return self.ended_at is None and now - self.reported_at <= SILENT_AFTER


@dataclass(frozen=True, slots=True)
class Reports:
    """All processes that are known, the newest report first, and what all that ever were have counted.

    `now` is the database's.
    """

    now: datetime
    processes: tuple[Process, ...]
    counters: Mapping[str, float]

    def alive(self, kind: str) -> list[Process]:
        return [each for each in self.processes if each.kind == kind and each.is_alive(self.now)]

    def in_flight_by_endpoint(self) -> list[tuple[str, int]]:
        """Return the endpoints with most requests under way, over all workers: id and requests."""
        counts: Counter[str] = Counter()
        for worker in self.alive(WORKER):
            for endpoint_id, in_flight, _ in worker.state.get("endpoints", ()):
                counts[endpoint_id] += in_flight
        return counts.most_common(LISTED_ENDPOINTS)


class ConcurrencyUse(NamedTuple):
    """An endpoint's requests in flight, and how many may be, over all workers that have any."""

    in_flight: int
    limit: int

    @property
    def is_full(self) -> bool:
        return self.in_flight >= self.limit


def read_concurrency(session: Session, now: datetime) -> dict[str, ConcurrencyUse]:
    """Return, by endpoint id, the concurrency of those endpoints that each worker has most requests to."""
    rows = session.scalars(
        select(ProcessReport.state).where(
            ProcessReport.kind == WORKER,
            ProcessReport.ended_at.is_(None),
            ProcessReport.reported_at > now - SILENT_AFTER,
        )
    )
    found: dict[str, ConcurrencyUse] = {}
    for state in rows:
        for endpoint_id, in_flight, limit in state.get("endpoints", ()):
            before = found.get(endpoint_id, ConcurrencyUse(0, 0))
            found[endpoint_id] = ConcurrencyUse(before.in_flight + in_flight, before.limit + limit)
    return found


def read(connection: Connection) -> Reports:
    """Return what all processes last reported, in one statement, and one for the clock."""
    now = database_clock.read(connection)
    columns = [getattr(ProcessReport, name) for name in Process.__dataclass_fields__]
    rows = connection.execute(
        select(ProcessReport.counters, *columns).order_by(ProcessReport.reported_at.desc())
    ).all()
    processes = tuple(Process(*row[1:]) for row in rows if row.id != TOTAL_ID)
    return Reports(now, processes, counters.total(row.counters for row in rows))


def delete_ended(database: WriteDatabase) -> None:
    """Take away the reports of processes that are over for long; what they counted goes to the total.

    Raises the errors of the database.
    """
    with database.begin() as connection:
        now = database_clock.read(connection)
        if not (over := _over(connection, now)):
            return
        _add_total_row(connection, now)
        # The total's row is locked first, so that two processes that forget at once add one after the other.
        of_total = select(ProcessReport.counters).where(ProcessReport.id == TOTAL_ID).with_for_update()
        sums = connection.execute(of_total).scalar_one()
        gone = delete(ProcessReport).where(ProcessReport.id.in_(over)).returning(ProcessReport.counters)
        counted = connection.execute(gone).scalars().all()
        connection.execute(
            update(ProcessReport)
            .where(ProcessReport.id == TOTAL_ID)
            .values(counters=counters.total([sums, *counted]))
        )


def _over(connection: Connection, now: datetime) -> list[str]:
    is_over = or_(ProcessReport.ended_at.is_not(None), ProcessReport.reported_at < now - _NO_LONGER_HEARD)
    rows = connection.execute(
        select(ProcessReport.id, ProcessReport.reported_at)
        .where(ProcessReport.id != TOTAL_ID, is_over)
        .order_by(ProcessReport.reported_at.desc())
    ).all()
    return [
        row.id
        for position, row in enumerate(rows)
        if position >= MOST_OVER or row.reported_at < now - FORGOTTEN_AFTER
    ]


def _add_total_row(connection: WriteConnection, now: datetime) -> None:
    row = {"id": TOTAL_ID, "kind": TOTAL_ID, "host": "", "pid": 0, "version": "", "started_at": now}
    row |= {"reported_at": now, "clock_ahead_ms": 0, "ended_at": None, "state": {}, "counters": {}}
    upsert.insert_if_new(connection, ProcessReport, row)
