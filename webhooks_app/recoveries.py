"""Recovery: replaying every delivery that a filter finds, in the background, batch by batch."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy import Engine as Database
from sqlalchemy.orm import Session

from webhooks_app import audit, clock, failpoints, ids, log, pending, replays
from webhooks_app.audit import Actor
from webhooks_app.extensions import reader
from webhooks_app.log import Counted, Filter, FilterError, Status
from webhooks_app.models import DeliveryState, Recovery, RecoveryState
from webhooks_app.queue import WakeUps

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


@dataclass(slots=True, frozen=True)
class Progress:
    """`share` is done, from 0 to 1; `total` is unset where it was too much to count."""

    share: float
    done: int
    total: int | None


def preview(session: Session, workspace_id: str, wanted: Filter, *, now: datetime) -> Counted:
    """How many deliveries a recovery of this filter would look at. Raises FilterError."""
    _check(wanted)
    return log.count(session, workspace_id, wanted, now=now, limit=COUNT_LIMIT)


def start(database: Database, wake_ups: WakeUps, workspace_id: str, wanted: Filter, *, actor: Actor) -> str:
    """The new recovery's id. Raises FilterError, and NothingToRecover."""
    now = clock.now()
    with Session(reader(database)) as session:
        counted = preview(session, workspace_id, wanted, now=now)
    if not counted.count and counted.is_all:
        raise NothingToRecover
    # What fails after this moment is none of it, or it would never end.
    since, until = wanted.bounds(now)
    bounded = replace(wanted, range="", since=since, until=min(until or now, now))
    recovery_id = ids.new("rcv")
    with database.begin() as connection:
        connection.execute(
            insert(Recovery).values(
                id=recovery_id,
                workspace_id=workspace_id,
                filter=bounded.arguments,
                state=RecoveryState.RUNNING,
                cursor=ids.floor("dlv", since) if since else "dlv_",
                total=counted.count if counted.is_all else None,
                started_by=actor.name,
                created_at=now,
            )
        )
        audit.record(
            connection,
            actor,
            "recovery.start",
            workspace_id=workspace_id,
            target=recovery_id,
            now=now,
            **bounded.arguments,
        )
    wake_ups.recover()
    return recovery_id


def cancel(database: Database, recovery: Recovery, *, actor: Actor) -> bool:
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


def is_any_running(database: Database) -> bool:
    with reader(database).connect() as connection:
        running = select(Recovery.id).where(Recovery.state == RecoveryState.RUNNING)
        return connection.execute(running.limit(1)).first() is not None


def run(database: Database, wake_ups: WakeUps, *, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Works on every recovery that runs until none does or it is told to stop; how many it replayed."""
    count = 0
    while not should_stop():
        with reader(database).connect() as connection:
            running = connection.scalars(
                select(Recovery.id).where(Recovery.state == RecoveryState.RUNNING).order_by(Recovery.id)
            ).all()
        if not running:
            break
        for recovery_id in running:  # in turn, so that a short one does not wait for a long one
            replayed = step(database, recovery_id)
            count += len(replayed)
            if replayed:
                wake_ups.now()
                _wait_for_room(database, replayed, should_stop)
    return count


def step(database: Database, recovery_id: str) -> list[str]:
    """Replays its next batch, unless somebody else just did; the deliveries replayed."""
    with Session(reader(database)) as session:
        recovery = session.get_one(Recovery, recovery_id)
        wanted, cursor, now = log.parse(recovery.filter), recovery.cursor, clock.now()
        found = log.find(session, recovery.workspace_id, wanted, now=now, limit=BATCH, after=cursor)
    reached = found.reached or (found.ids[-1] if found.has_more else "")
    with database.begin() as connection:
        if not _advance(connection, recovery_id, cursor, reached, now):
            return []
        replayed = _replay(connection, found.ids, wanted, now)
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


def _replay(connection: Connection, found: Sequence[str], wanted: Filter, now: datetime) -> list[str]:
    restarted = replays.restart(connection, found, state=DeliveryState(str(wanted.status)), now=now)
    pending.enter(connection, restarted, now=now)
    return restarted


def _wait_for_room(database: Database, replayed: Sequence[str], should_stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < deadline and not should_stop():
        with reader(database).connect() as connection:
            if pending.count_due(connection, like=replayed[-1], now=clock.now(), limit=MOST_DUE) < MOST_DUE:
                return
        time.sleep(LOOK_AGAIN_SECONDS)


def _check(wanted: Filter) -> None:
    if wanted.status not in STATUSES:
        raise FilterError("status", "Choose failed or canceled deliveries.")
    if wanted.q:
        raise FilterError("q", "A recovery goes by endpoint, event, response and time, not by text.")
