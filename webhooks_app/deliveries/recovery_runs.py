"""Running recoveries: in the background, batch by batch, on from where the last one was committed."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from webhooks_app.core import clock, failpoints
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import Databases, ReadDatabase
from webhooks_app.db.keyset import SearchResult
from webhooks_app.db.models import DeliveryState, Recovery, RecoveryState
from webhooks_app.db.transient_errors import database_may_be_away
from webhooks_app.deliveries import replays
from webhooks_app.deliveries.log import filters, search
from webhooks_app.jobs.wake_ups import WakeUps

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How much is replayed at a time, and how much may wait.

    Within one endpoint the oldest delivery goes first, so new events wait behind what a recovery queues. So
    it goes on only while no endpoint of its last batch has `most_due` deliveries due, but it never waits
    longer than `longest_wait_seconds` for an endpoint that does not answer. It looks again every
    `poll_seconds`.
    """

    batch_rows: int = 250
    most_due: int = 1000
    longest_wait_seconds: float = 5.0
    poll_seconds: float = 0.2


DEFAULT_LIMITS = RecoveryLimits()


@dataclass(slots=True, frozen=True)
class _Backlog:
    """Endpoints whose queue has to shrink first, but no longer than until `until` (monotonic seconds)."""

    endpoint_ids: set[str]
    until: float


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
    """Work on every recovery until none runs or it is told to stop; return how many deliveries it replayed.

    They take turns, and one whose endpoints have enough to do is passed over meanwhile.
    """
    count, backlogs = 0, dict[str, _Backlog]()
    while not should_stop():
        running = _running(databases.read)
        if not running:
            break
        ready = [each for each in running if _may_go_on(databases.read, backlogs.get(each), limits)]
        for recovery_id in ready:
            replayed = _try_next_batch(databases, recovery_id, limits)
            if replayed is None:
                continue
            until = time.monotonic() + limits.longest_wait_seconds
            backlogs[recovery_id] = _Backlog(set(replayed.values()), until)
            count += len(replayed)
            if replayed:
                wake_ups.wake_worker()
        if not ready:
            time.sleep(limits.poll_seconds)
    return count


def _running(database: ReadDatabase) -> Sequence[str]:
    with database.connect() as connection:
        running = select(Recovery.id).where(Recovery.state == RecoveryState.RUNNING)
        return connection.scalars(running.order_by(Recovery.id)).all()


def _may_go_on(database: ReadDatabase, backlog: _Backlog | None, limits: RecoveryLimits) -> bool:
    if backlog is None or time.monotonic() >= backlog.until:
        return True
    now = clock.now()
    with database.connect() as connection:
        return not any(
            delivery_queue.count_due(connection, each, now=now, limit=limits.most_due) >= limits.most_due
            for each in backlog.endpoint_ids
        )


def _try_next_batch(databases: Databases, recovery_id: str, limits: RecoveryLimits) -> dict[str, str] | None:
    """As `replay_next_batch`; None where another writer was in the way, so that the next turn tries again."""
    with database_may_be_away(logger, recovery=recovery_id):
        return replay_next_batch(databases, recovery_id, limits=limits)
    time.sleep(limits.poll_seconds)
    return None


def replay_next_batch(
    databases: Databases, recovery_id: str, *, limits: RecoveryLimits = DEFAULT_LIMITS
) -> dict[str, str]:
    """Replay the recovery's next batch, unless another worker just did.

    Return the ids of the deliveries that were replayed, each with its endpoint's.
    """
    with databases.read.session() as session:
        recovery = session.get_one(Recovery, recovery_id)
        workspace_id, cursor = recovery.workspace_id, recovery.cursor
        log_filter, now = filters.parse(recovery.filter), clock.now()
        found = search.find_deliveries(
            session, workspace_id, log_filter, now=now, limit=limits.batch_rows, after=cursor
        )
    with databases.write.begin() as connection:
        if not _move_cursor(connection, recovery_id, cursor, found, now):
            return {}
        states = [DeliveryState(str(log_filter.status))]
        replayed = replays.restart_schedules(connection, workspace_id, found.ids, states=states, now=now)
        failpoints.hit("recovery.half_stepped")
        _add_counts(connection, recovery_id, len(replayed), len(found.ids) - len(replayed))
    failpoints.hit("recovery.stepped")
    logger.info("recovering", extra={"recovery": recovery_id, "replayed": len(replayed)})
    return replayed


def _move_cursor(
    connection: Connection, recovery_id: str, cursor: str, found: SearchResult, now: datetime
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


def _add_counts(connection: Connection, recovery_id: str, replayed: int, left_out: int) -> None:
    connection.execute(
        update(Recovery)
        .where(Recovery.id == recovery_id)
        .values(handled=Recovery.handled + replayed, left_out=Recovery.left_out + left_out)
    )
