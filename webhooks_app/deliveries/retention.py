"""Deleting what is finished and older than its workspace keeps it, and sums that no chart shows any more.

By keyset on the time-sorted ids, in batches that are each a short transaction of their own, so that neither
SQLite's one write lock nor a lock in PostgreSQL is held for long. Any number of these may run at once, and
the next goes on where one was killed.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, exists, select

from webhooks_app.core import ids
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import FINAL_STATES, Attempt, AttemptRollup, Delivery, Endpoint, Event, Workspace

log = logging.getLogger(__name__)

ROLLUP_AGE = timedelta(days=90)  # thrice the longest chart
# An event that was being accepted when its endpoint was deleted has long been committed by then.
ENDPOINT_REST = timedelta(hours=1)
# A batch is to hold the write lock about this long: whoever accepts an event waits no longer than for one.
BATCH_SECONDS = 0.05
FIRST_BATCH, LARGEST_BATCH = 100, 1000
ENDPOINTS_PER_BATCH = 50


@dataclass(slots=True, frozen=True)
class ExpiryResult:
    """What one run deleted."""

    deliveries: int
    events: int
    rollups: int
    endpoints: int


class _Batches:
    """Writes in short transactions, adapts their size to what they take, and rests in between."""

    def __init__(self, databases: Databases, should_stop: Callable[[], bool]) -> None:
        self._databases = databases
        self._should_stop = should_stop
        self.size = FIRST_BATCH

    def pages(self, statement: Select[*tuple[Any, ...]], key: Any) -> Iterator[Sequence[Row[Any]]]:
        """The statement's rows by keyset on its first column, which is `key`."""
        after = ""
        while not self._should_stop():
            with self._databases.read.connect() as connection:
                page = connection.execute(statement.where(key > after).order_by(key).limit(self.size)).all()
            if not page:
                return
            after = page[-1][0]
            yield page

    def write(self, act: Callable[[Connection, Sequence[str]], int], some: Sequence[str]) -> int:
        if not some:
            return 0
        started = time.monotonic()
        with self._databases.write.begin() as connection:
            count = act(connection, some)
        took = time.monotonic() - started
        if took > BATCH_SECONDS:
            self.size = max(1, self.size // 2)
        elif took < BATCH_SECONDS / 2:
            self.size = min(LARGEST_BATCH, self.size * 2)
        time.sleep(took)  # those who waited for the lock come first
        return count


def run(
    databases: Databases, *, now: datetime, should_stop: Callable[[], bool] = lambda: False
) -> ExpiryResult:
    """Deletes everything that has expired at `now`, unless it is told to stop."""
    batches = _Batches(databases, should_stop)
    deliveries = events = 0
    with databases.read.connect() as connection:
        workspaces = connection.execute(select(Workspace.id, Workspace.retention_days)).all()
    for workspace_id, days in workspaces:
        before = now - timedelta(days=days)
        deliveries += _expire_deliveries(batches, workspace_id, before)
        events += _expire_events(batches, workspace_id, before)
    tally = ExpiryResult(
        deliveries, events, _expire_rollups(batches, now - ROLLUP_AGE), _drop_endpoints(batches, now)
    )
    log.info("expired", extra=asdict(tally))
    return tally


def _expire_deliveries(batches: _Batches, workspace_id: str, before: datetime) -> int:
    """Those made and finished before: what was replayed since is kept as long as what was made then."""
    old = select(Delivery.id, Delivery.state, Delivery.finished_at).where(
        Delivery.workspace_id == workspace_id, Delivery.id < ids.floor("dlv", before)
    )
    count = 0
    for page in batches.pages(old, Delivery.id):
        finished = [
            row.id for row in page if row.state in FINAL_STATES and (row.finished_at or before) <= before
        ]
        count += batches.write(_drop_deliveries, finished)
    return count


def _drop_deliveries(connection: Connection, some: Sequence[str]) -> int:
    # Locked and looked at once more: one may have been replayed since its page was read.
    final = connection.scalars(
        select(Delivery.id)
        .where(Delivery.id.in_(some), Delivery.state.in_(FINAL_STATES))
        .with_for_update(skip_locked=True)
    ).all()
    connection.execute(delete(Attempt).where(Attempt.delivery_id.in_(final)))
    return connection.execute(delete(Delivery).where(Delivery.id.in_(final))).rowcount


def _expire_events(batches: _Batches, workspace_id: str, before: datetime) -> int:
    old = select(Event.id).where(Event.workspace_id == workspace_id, Event.id < ids.floor("evt", before))
    return sum(batches.write(_drop_events, [row.id for row in page]) for page in batches.pages(old, Event.id))


def _drop_events(connection: Connection, some: Sequence[str]) -> int:
    # NOT EXISTS would become a join on PostgreSQL, which reads all deliveries; this looks into the index.
    first = select(Delivery.id).where(Delivery.event_id == Event.id).limit(1).scalar_subquery()
    return connection.execute(delete(Event).where(Event.id.in_(some), first.is_(None))).rowcount


def _expire_rollups(batches: _Batches, before: datetime) -> int:
    def drop(connection: Connection, some: Sequence[str]) -> int:
        old = delete(AttemptRollup).where(AttemptRollup.endpoint_id.in_(some))
        return connection.execute(old.where(AttemptRollup.hour_at < before)).rowcount

    has_old = exists().where(AttemptRollup.endpoint_id == Endpoint.id, AttemptRollup.hour_at < before)
    return _by_endpoints(batches, select(Endpoint.id).where(has_old), drop)


def _drop_endpoints(batches: _Batches, now: datetime) -> int:
    """Deleted endpoints go, with all that hangs on them, once the log holds nothing of theirs."""
    is_used = exists().where(Delivery.endpoint_id == Endpoint.id)

    def drop(connection: Connection, some: Sequence[str]) -> int:
        return connection.execute(delete(Endpoint).where(Endpoint.id.in_(some), ~is_used)).rowcount

    unused = select(Endpoint.id).where(Endpoint.deleted_at < now - ENDPOINT_REST, ~is_used)
    return _by_endpoints(batches, unused, drop)


def _by_endpoints(
    batches: _Batches, statement: Select[*tuple[Any, ...]], act: Callable[[Connection, Sequence[str]], int]
) -> int:
    count = 0
    for page in batches.pages(statement, Endpoint.id):
        names = [row.id for row in page]
        for start in range(0, len(names), ENDPOINTS_PER_BATCH):
            count += batches.write(act, names[start : start + ENDPOINTS_PER_BATCH])
    return count
