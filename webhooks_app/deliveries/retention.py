"""Retention: deleting deliveries that are older than their workspace keeps them, and what hangs on them.

It walks the time-sorted ids and deletes in batches that are each a short transaction, so that neither
SQLite's one write lock nor a lock in PostgreSQL is held for long. Any number of runs may be under way at
once; where one was killed, the next goes on.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, exists, or_, select

from webhooks_app.accounts import sessions
from webhooks_app.core import ids
from webhooks_app.db import keyset
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import (
    FINAL_STATES,
    AcceptedBatch,
    Attempt,
    AttemptRollup,
    Delivery,
    Endpoint,
    Event,
    LogInTries,
    UserSession,
    Workspace,
)
from webhooks_app.deliveries import traffic_ages

log = logging.getLogger(__name__)

ROLLUP_AGE = timedelta(days=90)  # three times the longest chart
# A day more than a cookie is good for.
SESSION_AGE = sessions.LIFE + timedelta(days=1)
# An event that was being accepted when its endpoint was deleted has long been committed by then.
ENDPOINT_GRACE = timedelta(hours=1)
# The next listener of the name has its signing secret for so long.
LISTENER_GRACE = timedelta(days=90)


@dataclass(slots=True, frozen=True)
class RetentionLimits:
    """How much one transaction deletes.

    It is to hold the write lock for about `batch_seconds`, as an event that is being accepted waits for it;
    so batches, which begin at `first_batch` rows, grow to `largest_batch` or shrink with the time they take.
    What hangs on an endpoint may be many rows, so `endpoints_per_batch` is smaller.
    """

    batch_seconds: float = 0.05
    first_batch: int = 100
    largest_batch: int = 1000
    endpoints_per_batch: int = 50


DEFAULT_LIMITS = RetentionLimits()


@dataclass(slots=True, frozen=True)
class ExpiryResult:
    """What one run deleted."""

    deliveries: int
    events: int
    rollups: int
    endpoints: int


class _Batches:
    """Reads and deletes in short transactions, whose size follows the time that they take."""

    def __init__(
        self, databases: Databases, should_stop: Callable[[], bool], limits: RetentionLimits = DEFAULT_LIMITS
    ) -> None:
        self._databases = databases
        self._should_stop = should_stop
        self._limits = limits
        self.size = limits.first_batch

    def read(
        self, statement: Select[*tuple[Any, ...]], key: Any
    ) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
        """Yield all rows of the statement, whose first column is `key`, until it is told to stop."""
        batches = keyset.walk(self._databases.read, statement, key, batch_rows=lambda: self.size)
        return takewhile(lambda _: not self._should_stop(), batches)

    def delete(self, delete_some: Callable[[Connection, Sequence[str]], int], named: Sequence[str]) -> int:
        """Call `delete_some` in a transaction, with the ids to delete; return how many it deleted."""
        if not named:
            return 0
        started = time.monotonic()
        with self._databases.write.begin() as connection:
            count = delete_some(connection, named)
        seconds = time.monotonic() - started
        if seconds > self._limits.batch_seconds:
            self.size = max(1, self.size // 2)
        elif seconds < self._limits.batch_seconds / 2:
            self.size = min(self._limits.largest_batch, self.size * 2)
        time.sleep(seconds)  # lets those go first who waited for the lock
        return count

    def delete_by_endpoint(
        self,
        endpoint_ids: Select[*tuple[Any, ...]],
        delete_some: Callable[[Connection, Sequence[str]], int],
    ) -> int:
        """As `delete`, for the endpoints that the statement selects, a few in each transaction."""
        count, size = 0, self._limits.endpoints_per_batch
        for batch in self.read(endpoint_ids, Endpoint.id):
            named = [row.id for row in batch]
            for start in range(0, len(named), size):
                count += self.delete(delete_some, named[start : start + size])
        return count


def delete_expired(
    databases: Databases,
    *,
    now: datetime,
    should_stop: Callable[[], bool] = lambda: False,
    limits: RetentionLimits = DEFAULT_LIMITS,
) -> ExpiryResult:
    """Delete everything that has expired at `now`, unless it is told to stop; return how much."""
    batches = _Batches(databases, should_stop, limits)
    deliveries = events = 0
    with databases.read.connect() as connection:
        workspaces = connection.execute(select(Workspace.id, Workspace.retention_days)).all()
    for workspace_id, days in workspaces:
        before = now - timedelta(days=days)
        deliveries += _expire_deliveries(batches, workspace_id, before)
        events += _expire_events(batches, workspace_id, before)
        _expire_batch_keys(batches, workspace_id, before)
    rollups = _expire_rollups(batches, now - ROLLUP_AGE)
    traffic_ages.delete_old(databases.write, now=now, should_stop=should_stop)
    _delete_log_in_tries(batches, now)
    _delete_sessions(batches, now)
    result = ExpiryResult(deliveries, events, rollups, _delete_endpoints(batches, now))
    log.info("expired", extra=asdict(result))
    return result


def _expire_deliveries(batches: _Batches, workspace_id: str, before: datetime) -> int:
    """Delete what was made and finished before; what was replayed since is kept from then on."""
    old = select(Delivery.id, Delivery.state, Delivery.finished_at).where(
        Delivery.workspace_id == workspace_id, Delivery.id < ids.floor("dlv", before)
    )
    count = 0
    for batch in batches.read(old, Delivery.id):
        finished = [
            row.id for row in batch if row.state in FINAL_STATES and (row.finished_at or before) <= before
        ]
        count += batches.delete(_delete_deliveries, finished)
    return count


def _delete_deliveries(connection: Connection, named: Sequence[str], /) -> int:
    # Locked and checked again: one may have been replayed since its batch was read.
    final = connection.scalars(
        select(Delivery.id)
        .where(Delivery.id.in_(named), Delivery.state.in_(FINAL_STATES))
        .with_for_update(skip_locked=True)
    ).all()
    connection.execute(delete(Attempt).where(Attempt.delivery_id.in_(final)))
    return connection.execute(delete(Delivery).where(Delivery.id.in_(final))).rowcount


def _expire_events(batches: _Batches, workspace_id: str, before: datetime) -> int:
    old = select(Event.id).where(Event.workspace_id == workspace_id, Event.id < ids.floor("evt", before))
    return sum(
        batches.delete(_delete_events, [row.id for row in batch]) for batch in batches.read(old, Event.id)
    )


def _delete_events(connection: Connection, named: Sequence[str]) -> int:
    # NOT EXISTS would become a join on PostgreSQL, which reads all deliveries; this looks into the index.
    first = select(Delivery.id).where(Delivery.event_id == Event.id).limit(1).scalar_subquery()
    return connection.execute(delete(Event).where(Event.id.in_(named), first.is_(None))).rowcount


def _expire_batch_keys(batches: _Batches, workspace_id: str, before: datetime) -> None:
    def drop(connection: Connection, named: Sequence[str]) -> int:
        return connection.execute(delete(AcceptedBatch).where(AcceptedBatch.id.in_(named))).rowcount

    old = select(AcceptedBatch.id).where(
        AcceptedBatch.workspace_id == workspace_id, AcceptedBatch.id < ids.floor("bat", before)
    )
    for batch in batches.read(old, AcceptedBatch.id):
        batches.delete(drop, [row.id for row in batch])


def _expire_rollups(batches: _Batches, before: datetime) -> int:
    def drop(connection: Connection, named: Sequence[str]) -> int:
        old = delete(AttemptRollup).where(AttemptRollup.endpoint_id.in_(named))
        return connection.execute(old.where(AttemptRollup.hour_at < before)).rowcount

    has_old = exists().where(AttemptRollup.endpoint_id == Endpoint.id, AttemptRollup.hour_at < before)
    return batches.delete_by_endpoint(select(Endpoint.id).where(has_old), drop)


def _delete_log_in_tries(batches: _Batches, now: datetime) -> None:
    """Remove the counts whose window is over; one that is tried again meanwhile begins anew either way."""
    is_over = LogInTries.resets_at <= now

    def drop(connection: Connection, named: Sequence[str]) -> int:
        return connection.execute(delete(LogInTries).where(LogInTries.key.in_(named), is_over)).rowcount

    for batch in batches.read(select(LogInTries.key).where(is_over), LogInTries.key):
        batches.delete(drop, [row.key for row in batch])


def _delete_sessions(batches: _Batches, now: datetime) -> None:
    """Remove what no cookie can be good for any more; what has ended refuses its cookie until then."""
    is_over = UserSession.last_seen_at < now - SESSION_AGE

    def drop(connection: Connection, named: Sequence[str]) -> int:
        return connection.execute(delete(UserSession).where(UserSession.id.in_(named), is_over)).rowcount

    for batch in batches.read(select(UserSession.id).where(is_over), UserSession.id):
        batches.delete(drop, [row.id for row in batch])


def _delete_endpoints(batches: _Batches, now: datetime) -> int:
    """Remove deleted endpoints, and what hangs on them, once the log holds nothing of theirs."""
    is_used = exists().where(Delivery.endpoint_id == Endpoint.id)

    is_over = or_(
        and_(Endpoint.is_listener.is_(False), Endpoint.deleted_at < now - ENDPOINT_GRACE),
        Endpoint.deleted_at < now - LISTENER_GRACE,
    )

    def drop(connection: Connection, named: Sequence[str]) -> int:
        # Checked again: a listener may have begun anew.
        old = delete(Endpoint).where(Endpoint.id.in_(named), is_over, ~is_used)
        return connection.execute(old).rowcount

    unused = select(Endpoint.id).where(is_over, ~is_used)
    return batches.delete_by_endpoint(unused, drop)
