"""Retention: deleting deliveries that are older than their workspace keeps them, and what hangs on them.

It walks the time-sorted ids and deletes in batches that are each a short transaction, so that neither
SQLite's one write lock nor a lock in PostgreSQL is held for long. Any number of runs may be under way at
once; where one was killed, the next goes on.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, exists, or_, select

from webhooks_app.accounts import security_mail_runs, sessions
from webhooks_app.core import clock, failpoints, ids
from webhooks_app.db import moment_index, upsert, write_ahead_log
from webhooks_app.db.engines import Databases
from webhooks_app.db.event_conditions import of_events
from webhooks_app.db.models import (
    FINAL_STATES,
    AcceptedBatch,
    Attempt,
    AttemptRollup,
    Delivery,
    Endpoint,
    Event,
    Heartbeat,
    LogInTries,
    UserSession,
    Workspace,
)
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries import payload_retention, traffic_ages
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.payload_retention import FinishedErasures
from webhooks_app.deliveries.retention_batches import DEFAULT_LIMITS, BatchRunner, RetentionLimits
from webhooks_app.monitoring.facts import RETENTION

log = logging.getLogger(__name__)

ROLLUP_AGE = timedelta(days=90)  # three times the longest chart
# A day more than a cookie is good for.
SESSION_AGE = sessions.LIFE + timedelta(days=1)
# An event that was being accepted when its endpoint was deleted has long been committed by then.
ENDPOINT_GRACE = timedelta(hours=1)
# The next listener of the name has its signing secret for so long.
LISTENER_GRACE = timedelta(days=90)


@dataclass(slots=True, frozen=True)
class ExpiryResult:
    """What one run deleted, and of how many events it erased the payload."""

    deliveries: int
    events: int
    payloads: int
    rollups: int
    endpoints: int


def delete_expired(
    databases: Databases,
    *,
    now: datetime,
    should_stop: Callable[[], bool] = lambda: False,
    limits: RetentionLimits = DEFAULT_LIMITS,
) -> ExpiryResult:
    """Delete everything that has expired at `now`, unless it is told to stop; return how much.

    What fails in one workspace is raised once everything else is done.
    """
    batches = BatchRunner(databases, should_stop, limits)
    may_come_back = payload_rows.may_come_back(databases.read)
    finished = FinishedErasures()
    done = Counter[str]()
    failure = _expire_workspaces(batches, now, done, finished)
    if batches.changed or finished:  # also of what then failed
        are_out = _remove_copies(databases, limits)
        if are_out and not may_come_back:
            finished.drop_notes(batches)
    rollups = _expire_rollups(batches, now - ROLLUP_AGE)
    traffic_ages.delete_old(databases.write, now=now, should_stop=should_stop)
    _delete_log_in_tries(batches, now)
    _delete_sessions(batches, now)
    security_mail_runs.delete_old(databases.write, now=now)
    endpoints = _delete_endpoints(batches, now)
    result = ExpiryResult(done["deliveries"], done["events"], done["payloads"], rollups, endpoints)
    log.info("expired", extra=asdict(result))
    if failure is not None:
        raise failure
    if not should_stop():
        _record_completion(databases)
    return result


def _expire_workspaces(
    batches: BatchRunner, now: datetime, done: Counter[str], finished: FinishedErasures
) -> Exception | None:
    """Expire what each workspace keeps no longer; return the first error, which ends its workspace only."""
    failure: Exception | None = None
    with batches.databases.read.session() as session:
        workspaces = session.scalars(select(Workspace)).all()
    for workspace in workspaces:
        if batches.should_stop:
            break
        try:
            _expire_workspace(batches, workspace, now, done, finished)
        except Exception as error:
            log.exception("retention_failed", extra={"workspace_id": workspace.id})
            failure = failure or error
    return failure


def _remove_copies(databases: Databases, limits: RetentionLimits) -> bool:
    """Take what is in no row any more out of what copies rows have; return whether all of it is out."""
    are_out = payload_rows.forget_samples(databases.write)
    return write_ahead_log.truncate(databases.read, within_seconds=limits.wal_seconds) and are_out


def _expire_workspace(
    batches: BatchRunner, workspace: Workspace, now: datetime, done: Counter[str], finished: FinishedErasures
) -> None:
    before = now - timedelta(days=workspace.retention_days)
    done["deliveries"] += _expire_deliveries(batches, workspace.id, before)
    done["events"] += _expire_events(batches, workspace.id, before)
    _expire_batch_keys(batches, workspace.id, before)
    done["payloads"] += payload_retention.expire(batches, workspace, finished, now=now)


def _record_completion(databases: Databases) -> None:
    with databases.write.begin() as connection:
        completed = {"name": RETENTION, "at": clock.now()}
        upsert.insert_or_update(connection, Heartbeat, completed, key=["name"])


def _expire_deliveries(batches: BatchRunner, workspace_id: str, before: datetime) -> int:
    """Delete what was made and finished before; what was replayed since is kept from then on."""
    old = select(Delivery.id, Delivery.state, Delivery.finished_at).where(
        moment_index.found_by((Delivery.workspace_id, workspace_id)),
        moment_index.below(Delivery.id, ids.floor("dlv", before)),
    )
    count = 0
    for batch in batches.read(old, Delivery.id, by_moments=True):
        finished = [
            row.id for row in batch if row.state in FINAL_STATES and (row.finished_at or before) <= before
        ]
        count += batches.apply(_delete_deliveries, finished)
    return count


def _delete_deliveries(connection: WriteConnection, named: Sequence[str], /) -> int:
    # Locked and checked again: one may have been replayed since its batch was read.
    final = connection.scalars(
        select(Delivery.id)
        .where(Delivery.id.in_(named), Delivery.state.in_(FINAL_STATES))
        .with_for_update(skip_locked=True)
    ).all()
    connection.execute(delete(Attempt).where(Attempt.delivery_id.in_(final)))
    count = connection.execute(delete(Delivery).where(Delivery.id.in_(final))).rowcount
    failpoints.hit("retention.deleted")
    return count


def _expire_events(batches: BatchRunner, workspace_id: str, before: datetime) -> int:
    old = select(Event.id).where(
        moment_index.found_by((Event.workspace_id, workspace_id)),
        moment_index.below(Event.id, ids.floor("evt", before)),
    )
    return sum(
        batches.apply(_delete_events, [row.id for row in batch])
        for batch in batches.read(old, Event.id, by_moments=True)
    )


def _delete_events(connection: WriteConnection, named: Sequence[str]) -> int:
    # Locked before their deliveries are looked for: where a listener gets past events meanwhile, PostgreSQL
    # has no foreign key that would refuse its deliveries.
    locked = select(Event.id).where(Event.id.in_(named)).with_for_update(skip_locked=True)
    events = connection.scalars(locked).all()
    # Asked for all events at once, as the index cannot tell some events of a batch apart.
    used = set(connection.scalars(select(Delivery.event_id).where(of_events(events)).distinct()))
    unused = [each for each in events if each not in used]
    return connection.execute(delete(Event).where(Event.id.in_(unused))).rowcount


def _expire_batch_keys(batches: BatchRunner, workspace_id: str, before: datetime) -> None:
    def drop(connection: WriteConnection, named: Sequence[str]) -> int:
        return connection.execute(delete(AcceptedBatch).where(AcceptedBatch.id.in_(named))).rowcount

    old = select(AcceptedBatch.id).where(
        AcceptedBatch.workspace_id == workspace_id, AcceptedBatch.id < ids.floor("bat", before)
    )
    for batch in batches.read(old, AcceptedBatch.id):
        batches.apply(drop, [row.id for row in batch])


def _expire_rollups(batches: BatchRunner, before: datetime) -> int:
    def drop(connection: WriteConnection, named: Sequence[str]) -> int:
        old = delete(AttemptRollup).where(AttemptRollup.endpoint_id.in_(named))
        return connection.execute(old.where(AttemptRollup.hour_at < before)).rowcount

    has_old = exists().where(AttemptRollup.endpoint_id == Endpoint.id, AttemptRollup.hour_at < before)
    return batches.delete_by_endpoint(select(Endpoint.id).where(has_old), drop)


def _delete_log_in_tries(batches: BatchRunner, now: datetime) -> None:
    """Remove the counts whose window is over; one that is tried again meanwhile begins anew either way."""
    is_over = LogInTries.resets_at <= now

    def drop(connection: WriteConnection, named: Sequence[str]) -> int:
        return connection.execute(delete(LogInTries).where(LogInTries.key.in_(named), is_over)).rowcount

    for batch in batches.read(select(LogInTries.key).where(is_over), LogInTries.key):
        batches.apply(drop, [row.key for row in batch])


def _delete_sessions(batches: BatchRunner, now: datetime) -> None:
    """Remove what no cookie can be good for any more; what has ended refuses its cookie until then."""
    is_over = UserSession.last_seen_at < now - SESSION_AGE

    def drop(connection: WriteConnection, named: Sequence[str]) -> int:
        return connection.execute(delete(UserSession).where(UserSession.id.in_(named), is_over)).rowcount

    for batch in batches.read(select(UserSession.id).where(is_over), UserSession.id):
        batches.apply(drop, [row.id for row in batch])


def _delete_endpoints(batches: BatchRunner, now: datetime) -> int:
    """Remove deleted endpoints, and what hangs on them, once the log holds nothing of theirs."""
    is_used = exists().where(moment_index.found_by((Delivery.endpoint_id, Endpoint.id)))

    is_over = or_(
        and_(Endpoint.is_listener.is_(False), Endpoint.deleted_at < now - ENDPOINT_GRACE),
        Endpoint.deleted_at < now - LISTENER_GRACE,
    )

    def drop(connection: WriteConnection, named: Sequence[str]) -> int:
        # Checked again: a listener may have begun anew.
        old = delete(Endpoint).where(Endpoint.id.in_(named), is_over, ~is_used)
        return connection.execute(old).rowcount

    unused = select(Endpoint.id).where(is_over, ~is_used)
    return batches.delete_by_endpoint(unused, drop)
