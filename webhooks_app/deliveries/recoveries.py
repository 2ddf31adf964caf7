"""Recovery: replaying every delivery that a filter finds. Counted, started, watched, canceled.

`recovery_runs` does the work, in the background.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.keyset import MatchCount
from webhooks_app.db.models import Recovery, RecoveryState
from webhooks_app.deliveries.log import filters, search
from webhooks_app.deliveries.log.filters import FilterError, LogFilter, Status
from webhooks_app.jobs.wake_ups import WakeUps

STATUSES = (Status.FAILED, Status.CANCELED)
# A page counts no further; the progress of what is larger goes by time instead.
COUNT_LIMIT = 10_000


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


def preview(
    session: Session,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    now: datetime,
    count_limit: int = COUNT_LIMIT,
) -> MatchCount:
    """Return how many deliveries a recovery of this filter would look at. Raises FilterError."""
    _check(log_filter)
    return search.count_deliveries(session, workspace_id, log_filter, now=now, limit=count_limit)


def start(
    databases: Databases,
    wake_ups: WakeUps,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    actor: Actor,
    count_limit: int = COUNT_LIMIT,
) -> str:
    """Start a recovery; return its id. Raises FilterError, NothingToRecover and AlreadyRunning."""
    now = clock.now()
    with databases.read.session() as session:
        counted = preview(session, workspace_id, log_filter, now=now, count_limit=count_limit)
    if not counted.count and counted.is_all:
        raise NothingToRecover
    bounded = _bounded(log_filter, now)
    recovery_id = ids.new("rcv")
    row = _row(workspace_id, bounded, counted, now) | {"id": recovery_id, "started_by": actor.name}
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
    wake_ups.enqueue_recovery()
    return recovery_id


def _row(workspace_id: str, bounded: LogFilter, counted: MatchCount, now: datetime) -> dict[str, object]:
    since, _ = bounded.bounds(now)
    return {
        "workspace_id": workspace_id,
        "filter": bounded.arguments,
        "state": RecoveryState.RUNNING,
        "cursor": ids.floor("dlv", since) if since else "dlv_",
        "total": counted.count if counted.is_all else None,
        "handled": 0,
        "left_out": 0,
        "created_at": now,
    }


def _bounded(log_filter: LogFilter, now: datetime) -> LogFilter:
    """Return the filter up to this moment: with what fails later, a recovery would never end.

    It is parsed from its own arguments, so that what is stored can be read again. Raises FilterError.
    """
    since, until = log_filter.bounds(now)
    bounded = replace(log_filter, range="", since=since, until=min(until or now, now))
    return filters.parse(bounded.arguments)


def cancel(database: WriteDatabase, recovery: Recovery, *, actor: Actor) -> bool:
    """Stop it where it is; return False if it had ended. What it replayed so far stays replayed."""
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
    """Return its progress by what was counted at the start or, where that was too much, by time."""
    done = recovery.handled + recovery.left_out
    if recovery.state is RecoveryState.DONE:
        return Progress(1.0, done, recovery.total)
    if recovery.total:
        return Progress(min(done / recovery.total, 1.0), done, recovery.total)
    since, until = filters.parse(recovery.filter).bounds(recovery.created_at)
    if not done or since is None or until is None:
        return Progress(0.0, done, None)
    share = (ids.created_at(recovery.cursor) - since) / (until - since)
    return Progress(min(max(share, 0.0), 1.0), done, None)


def _check(log_filter: LogFilter) -> None:
    if log_filter.status not in STATUSES:
        raise FilterError("status", "Choose failed or canceled deliveries.")
    if log_filter.q:
        raise FilterError("q", "A recovery goes by endpoint, event, response and time, not by text.")
