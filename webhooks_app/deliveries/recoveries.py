"""Recovery: replaying every delivery that a filter finds, in the background, batch by batch."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, failpoints, ids
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import Databases, ReadDatabase, WriteDatabase
from webhooks_app.db.models import DeliveryState, Recovery, RecoveryState
from webhooks_app.deliveries import log, replays
from webhooks_app.deliveries.log import FilterError, LogFilter, MatchCount, Status
from webhooks_app.jobs.wake_ups import WakeUps

logger = logging.getLogger(__name__)

STATUSES = (Status.FAILED, Status.CANCELED)
# A page counts no further; the progress of what is larger goes by time instead.
COUNT_LIMIT = 10_000
BATCH = 250
# Within one endpoint the oldest goes first, so new events wait behind what a recovery puts before them: it
# keeps no more than this due, but never waits longer for an endpoint that does not answer.
MOST_DUE = 1000
LONGEST_WAIT_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.2


class NothingToRecover(Exception):
    """No delivery matches the filter."""


class AlreadyRunning(Exception):
    """A workspace has one recovery at a time."""


@dataclass(slots=True, frozen=True)
class Progress:
    """`share` is done, from 0 to 1; `total` is unset where it was too much to count."""

    share: float
    done: int
    total: int | None


def preview(session: Session, workspace_id: str, wanted: LogFilter, *, now: datetime) -> MatchCount:
    """How many deliveries a recovery of this filter would look at. Raises FilterError."""
    _check(wanted)
    return log.count(session, workspace_id, wanted, now=now, limit=COUNT_LIMIT)


def start(
    databases: Databases, wake_ups: WakeUps, workspace_id: str, wanted: LogFilter, *, actor: Actor
) -> str:
    """The new recovery's id. Raises FilterError, NothingToRecover, and AlreadyRunning."""
    now = clock.now()
    with databases.read.session() as session:
        counted = preview(session, workspace_id, wanted, now=now)
    if not counted.count and counted.is_all:
        raise NothingToRecover
    bounded = _bounded(wanted, now)
    since, _ = bounded.bounds(now)
    recovery_id = ids.new("rcv")
    row = {
        "id": recovery_id,
        "workspace_id": workspace_id,
        "filter": bounded.arguments,
        "state": RecoveryState.RUNNING,
        "cursor": ids.floor("dlv", since) if since else "dlv_",
        "total": counted.count if counted.is_all else None,
        "replayed": 0,
        "left_out": 0,
        "started_by": actor.name,
        "created_at": now,
    }
    try:
        with databases.write.begin() as connection:
            connection.execute(insert(Recovery).values(row))
            audit.record(
                connection,
                actor,
                "recovery.start",
                workspace_id=workspace_id,
                target=recovery_id,
                now=now,
                **bounded.arguments,
            )
    except IntegrityError:
        raise AlreadyRunning from None
    wake_ups.recover()
    return recovery_id


def _bounded(wanted: LogFilter, now: datetime) -> LogFilter:
    """The filter up to this moment: what fails later is none of it, or it would never end.

    As it will be read again, so that what is stored can be read. Raises FilterError.
    """
    since, until = wanted.bounds(now)
    return log.parse(replace(wanted, range="", since=since, until=min(until or now, now)).arguments)


def cancel(database: WriteDatabase, recovery: Recovery, *, actor: Actor) -> bool:
    """Stops it where it is; False if it had ended. What it replayed so far stays replayed."""
    now = clock.now()
    with database.begin() as connection:
        canceled = connection.execute(
            update(Recovery)
            .where(Recovery.id == recovery.id, Recovery.state == RecoveryState.RUNNING)
            .values(state=RecoveryState.CANCELED, finished_at=now)
        ).rowcount
        if canceled:
            audit.record(
                connection,
                actor,
                "recovery.cancel",
                workspace_id=recovery.workspace_id,
                target=recovery.id,
                now=now,
            )
    return canceled == 1


def progress(recovery: Recovery) -> Progress:
    """By what was counted at the start or, where that was too much, by how far it has come in time."""
    done = recovery.replayed + recovery.left_out
    if recovery.state is RecoveryState.DONE:
        return Progress(1.0, done, recovery.total)
    if recovery.total:
        return Progress(min(done / recovery.total, 1.0), done, recovery.total)
    since, until = log.parse(recovery.filter).bounds(recovery.created_at)
    if not done or since is None or until is None:
        return Progress(0.0, done, None)
    share = (ids.created_at(recovery.cursor) - since) / (until - since)
    return Progress(min(max(share, 0.0), 1.0), done, None)


def is_any_running(database: ReadDatabase) -> bool:
    with database.connect() as connection:
        running = select(Recovery.id).where(Recovery.state == RecoveryState.RUNNING)
        return connection.execute(running.limit(1)).first() is not None


def run(databases: Databases, wake_ups: WakeUps, *, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Works on every recovery that runs until none does or it is told to stop; how many it replayed.

    They take turns, and one whose endpoints have enough to do is passed over meanwhile.
    """
    count, waits = 0, dict[str, _Wait]()
    while not should_stop():
        running = _running(databases.read)
        if not running:
            break
        ready = [each for each in running if _has_room(databases.read, waits.get(each))]
        for recovery_id in ready:
            try:
                replayed = step(databases, recovery_id)
            except OperationalError as error:  # overtaken by another writer; the next turn is another try
                logger.warning(
                    "recovery_failed", extra={"recovery": recovery_id, "error": type(error.orig).__name__}
                )
                time.sleep(LOOK_AGAIN_SECONDS)
                continue
            waits[recovery_id] = _Wait(set(replayed.values()), time.monotonic() + LONGEST_WAIT_SECONDS)
            count += len(replayed)
            if replayed:
                wake_ups.now()
        if not ready:
            time.sleep(LOOK_AGAIN_SECONDS)
    return count


@dataclass(slots=True, frozen=True)
class _Wait:
    """Endpoints whose queue has to shrink first, but no longer than until `until` (monotonic seconds)."""

    endpoints: set[str]
    until: float


def _running(database: ReadDatabase) -> Sequence[str]:
    with database.connect() as connection:
        running = select(Recovery.id).where(Recovery.state == RecoveryState.RUNNING)
        return connection.scalars(running.order_by(Recovery.id)).all()


def _has_room(database: ReadDatabase, wait: _Wait | None) -> bool:
    if wait is None or time.monotonic() >= wait.until:
        return True
    now = clock.now()
    with database.connect() as connection:
        return not any(
            delivery_queue.count_due(connection, each, now=now, limit=MOST_DUE) >= MOST_DUE
            for each in wait.endpoints
        )


def step(databases: Databases, recovery_id: str) -> dict[str, str]:
    """Replays its next batch, unless somebody else just did; the deliveries, each with its endpoint."""
    with databases.read.session() as session:
        recovery = session.get_one(Recovery, recovery_id)
        workspace_id = recovery.workspace_id
        wanted, cursor, now = log.parse(recovery.filter), recovery.cursor, clock.now()
        found = log.find(session, recovery.workspace_id, wanted, now=now, limit=BATCH, after=cursor)
    reached = found.reached or (found.ids[-1] if found.has_more else "")
    with databases.write.begin() as connection:
        if not _advance(connection, recovery_id, cursor, reached, now):
            return {}
        states = [DeliveryState(str(wanted.status))]
        replayed = replays.restart(connection, workspace_id, found.ids, states=states, now=now)
        failpoints.hit("recovery.half_stepped")
        connection.execute(
            update(Recovery)
            .where(Recovery.id == recovery_id)
            .values(
                replayed=Recovery.replayed + len(replayed),
                left_out=Recovery.left_out + len(found.ids) - len(replayed),
            )
        )
    failpoints.hit("recovery.stepped")
    logger.info("recovering", extra={"recovery": recovery_id, "replayed": len(replayed)})
    return replayed


def _advance(connection: Connection, recovery_id: str, cursor: str, reached: str, now: datetime) -> bool:
    """Moves it on, or ends it; False when it is no longer where it stood."""
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


def _check(wanted: LogFilter) -> None:
    if wanted.status not in STATUSES:
        raise FilterError("status", "Choose failed or canceled deliveries.")
    if wanted.q:
        raise FilterError("q", "A recovery goes by endpoint, event, response and time, not by text.")
