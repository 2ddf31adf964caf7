"""Running recoveries: in the background, batch by batch, on from where the last one was committed."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, select, update

from webhooks_app.core import clock, failpoints
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import Databases, ReadDatabase
from webhooks_app.db.keyset import SearchLimits, SearchResult
from webhooks_app.db.models import Recovery, RecoveryState
from webhooks_app.db.transient_errors import tolerate_unavailable_database
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries import recovery_batches
from webhooks_app.deliveries.log import filters, search
from webhooks_app.deliveries.recovery_batches import BatchResult, RecoveryTask
from webhooks_app.jobs.wake_ups import WakeUps

log = logging.getLogger(__name__)


_SEARCH = SearchLimits(rows=20_000, seconds=0.2, chunk_rows=500)


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How much is dealt with at a time, and how much may wait.

    Within one endpoint the oldest delivery goes first, so new events wait behind what a recovery queues. So
    it goes on only while no endpoint of its last batch has `most_due` deliveries due, but it never waits
    longer than `longest_wait_seconds` for an endpoint that does not answer. It looks again every
    `poll_seconds`. Where no index serves its filter, a batch ends with what `search` comes to.
    """

    batch_rows: int = 250
    search: SearchLimits = _SEARCH
    most_due: int = 1000
    longest_wait_seconds: float = 5.0
    poll_seconds: float = 0.2


DEFAULT_LIMITS = RecoveryLimits()


@dataclass(slots=True, frozen=True)
class _Backlog:
    """Endpoints whose queue has to shrink first, but no longer than until `until` (monotonic seconds)."""

    endpoint_ids: frozenset[str]
    until: float


@dataclass(slots=True, frozen=True)
class _Pace:
    """A recovery's rate, if it has one, and when the batch now taken was to be taken."""

    rate_per_second: int | None
    due_at: datetime | None

    def next_batch_at(self, handled: int, now: datetime) -> datetime | None:
        """Return before when no more may be taken, so that the rate holds on average."""
        if self.rate_per_second is None:
            return None
        # A worker's delay of up to a second is made up for; time in which no worker ran is not.
        began = max(self.due_at or now, now - timedelta(seconds=1))
        return began + timedelta(seconds=handled / self.rate_per_second)


def is_any_running(database: ReadDatabase) -> bool:
    """Return whether any workspace has a recovery that runs."""
    with database.connect() as connection:
        running = select(Recovery.id).where(Recovery.state == RecoveryState.RUNNING)
        return connection.execute(running.limit(1)).first() is not None


def run_all(
    databases: Databases,
    wake_ups: WakeUps,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    limits: RecoveryLimits = DEFAULT_LIMITS,
) -> int:
    """Work on every recovery until none runs or it is told to stop; return how many deliveries it handled.

    They take turns, and one whose endpoints have enough to do, or whose rate has it wait, is passed over
    meanwhile.
    """
    count, backlogs = 0, dict[str, _Backlog]()
    while not should_stop():
        running = _running(databases.read)
        if not running:
            break
        ready = [each for each in running if _may_go_on(databases.read, each, backlogs, limits)]
        for recovery in ready:
            batch = _try_next_batch(databases, recovery.id, limits)
            if batch is None:
                continue
            until = time.monotonic() + limits.longest_wait_seconds
            backlogs[recovery.id] = _Backlog(batch.endpoint_ids, until)
            count += batch.handled
            if batch.endpoint_ids:
                wake_ups.wake_worker(listener_ids=batch.endpoint_ids)
        if not ready:
            time.sleep(limits.poll_seconds)
    return count


def _running(database: ReadDatabase) -> Sequence[Row[str, datetime | None]]:
    with database.connect() as connection:
        running = select(Recovery.id, Recovery.next_batch_at).where(Recovery.state == RecoveryState.RUNNING)
        return connection.execute(running.order_by(Recovery.id)).all()


def _may_go_on(
    database: ReadDatabase,
    recovery: Row[str, datetime | None],
    backlogs: dict[str, _Backlog],
    limits: RecoveryLimits,
) -> bool:
    now, backlog = clock.now(), backlogs.get(recovery.id)
    if recovery.next_batch_at is not None and recovery.next_batch_at > now:
        return False
    if backlog is None or time.monotonic() >= backlog.until:
        return True
    with database.connect() as connection:
        return not any(
            delivery_queue.count_due(connection, each, now=now, limit=limits.most_due) >= limits.most_due
            for each in backlog.endpoint_ids
        )


def _try_next_batch(databases: Databases, recovery_id: str, limits: RecoveryLimits) -> BatchResult | None:
    """As `take_next_batch`; None where another writer was in the way, so that the next turn tries again."""
    with tolerate_unavailable_database(log, recovery=recovery_id):
        return take_next_batch(databases, recovery_id, limits=limits)
    time.sleep(limits.poll_seconds)
    return None


def take_next_batch(
    databases: Databases, recovery_id: str, *, limits: RecoveryLimits = DEFAULT_LIMITS
) -> BatchResult:
    """Deal with the recovery's next batch, unless another worker just did; return what was dealt with."""
    now = clock.now()
    with databases.read.session() as session:
        recovery = session.get_one(Recovery, recovery_id)
        task = _task(recovery)
        cursor, pace = recovery.cursor, _Pace(recovery.rate_per_second, recovery.next_batch_at)
        found = search.find_deliveries(
            session,
            task.workspace_id,
            task.log_filter,
            now=now,
            limit=min(limits.batch_rows, pace.rate_per_second or limits.batch_rows),
            after=cursor,
            limits=limits.search,
        )
    with databases.write.begin() as connection:
        if not _move_cursor(connection, recovery_id, cursor, found, now):
            return recovery_batches.NOTHING
        batch = recovery_batches.apply_action(connection, task, found.ids, now=now)
        failpoints.hit("recovery.half_stepped")
        _note_batch(connection, recovery_id, batch, len(found.ids), pace, now)
    failpoints.hit("recovery.stepped")
    log.info("recovering", extra={"recovery_id": recovery_id, "handled": batch.handled})
    return batch


def _task(recovery: Recovery) -> RecoveryTask:
    log_filter = filters.parse(recovery.filter)
    return RecoveryTask(recovery.id, recovery.workspace_id, recovery.action, log_filter)


def _move_cursor(
    connection: WriteConnection, recovery_id: str, cursor: str, found: SearchResult, now: datetime
) -> bool:
    """Move the cursor behind what was found, or end the recovery; False when the cursor stood elsewhere."""
    reached = found.reached or (found.ids[-1] if found.has_more else "")
    ended = {"state": RecoveryState.DONE, "finished_at": now}
    return (
        connection.execute(
            update(Recovery)
            .where(Recovery.id == recovery_id, Recovery.cursor == cursor)
            .where(Recovery.state == RecoveryState.RUNNING)
            .values({"cursor": reached} if reached else ended)
        ).rowcount
        == 1
    )


def _note_batch(
    connection: WriteConnection, recovery_id: str, batch: BatchResult, found: int, pace: _Pace, now: datetime
) -> None:
    connection.execute(
        update(Recovery)
        .where(Recovery.id == recovery_id)
        .values(
            handled=Recovery.handled + batch.handled,
            left_out=Recovery.left_out + found - batch.handled,
            without_payload=Recovery.without_payload + batch.without_payload,
            next_batch_at=pace.next_batch_at(batch.handled, now),
        )
    )
