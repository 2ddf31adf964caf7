"""Recovery: sending, replaying or canceling every delivery that a filter finds. Counted, started, stopped.

`recovery_runs` does the work, in the background; `recovery_progress` says how far it is and what came of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.keyset import COUNT_LIMIT, MatchCount
from webhooks_app.db.models import Endpoint, Recovery, RecoveryAction, RecoveryState
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries.log import filters, search
from webhooks_app.deliveries.log.filter_values import FilterError
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.jobs.wake_ups import WakeUps

FASTEST_RECOVERY = 1000  # deliveries a second; past that, the endpoints' queues set the pace

# Which of the filter's deliveries an action is for, by the status that the filter names.
_WAITING: dict[Status | None, Status | None] = {
    None: Status.PENDING,
    Status.PENDING: Status.PENDING,
    Status.RETRYING: Status.RETRYING,
    Status.UNDELIVERED: Status.RETRYING,
}
_FINISHED = (Status.DELIVERED, Status.FAILED, Status.CANCELED)
_REPLAYED: dict[Status | None, Status | None] = {
    status: status for status in (None, Status.UNDELIVERED, Status.RETRYING, Status.PENDING, *_FINISHED)
}
STATUSES: dict[RecoveryAction, Mapping[Status | None, Status | None]] = {
    RecoveryAction.SEND: _WAITING,
    RecoveryAction.REPLAY: _REPLAYED,
    RecoveryAction.CANCEL: _WAITING,
}
_REFUSALS = {
    Status.SENDING: "What is being sent right now is left alone. Choose another status.",
    Status.HELD: "What is held is sent or discarded when its endpoint is enabled.",
}
_NONE_WAITS = "Deliveries of this status wait for nothing. Choose what is pending or retrying."


class NothingToRecover(Exception):
    """No delivery matches the filter."""


class AlreadyRunning(Exception):
    """A recovery of the same endpoint, or over all endpoints, runs already: `recovery_id`, if known."""

    def __init__(self, recovery_id: str) -> None:
        super().__init__(recovery_id)
        self.recovery_id = recovery_id


def applies(action: RecoveryAction, log_filter: LogFilter) -> bool:
    """Return whether the action is for any of the deliveries of this filter."""
    return log_filter.status in STATUSES[action]


def preview(
    session: Session,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    action: RecoveryAction = RecoveryAction.REPLAY,
    now: datetime,
    count_limit: int = COUNT_LIMIT,
) -> MatchCount:
    """Return how many deliveries a recovery of this filter would look at. Raises FilterError."""
    narrowed = narrow(action, log_filter)
    _check_endpoint(session, workspace_id, narrowed.endpoint)
    return search.count_deliveries(session, workspace_id, narrowed, now=now, limit=count_limit)


def start(
    databases: Databases,
    wake_ups: WakeUps,
    workspace_id: str,
    log_filter: LogFilter,
    *,
    action: RecoveryAction = RecoveryAction.REPLAY,
    rate_per_second: int | None = None,
    actor: Actor,
    count_limit: int = COUNT_LIMIT,
) -> str:
    """Start a recovery; return its id. Raises FilterError, NothingToRecover and AlreadyRunning."""
    if rate_per_second is not None and not 1 <= rate_per_second <= FASTEST_RECOVERY:
        raise FilterError("rate", f"Choose a rate from 1 to {FASTEST_RECOVERY} a second, or none.")
    now = clock.now()
    with databases.read.session() as session:
        log_filter = search.resolve_text_kind(session, workspace_id, log_filter)
        counted = preview(session, workspace_id, log_filter, action=action, now=now, count_limit=count_limit)
    if not counted.count and counted.is_all:
        raise NothingToRecover
    bounded = _bounded(narrow(action, log_filter), now)
    row = _row(workspace_id, bounded, counted, now) | {
        "action": action,
        "rate_per_second": rate_per_second,
        "started_by": actor.name,
    }
    _insert(databases, row, actor)
    wake_ups.enqueue_recovery()
    return str(row["id"])


def _insert(databases: Databases, row: dict[str, object], actor: Actor) -> None:
    recovery = Recovery(**row)
    try:
        with databases.write.begin() as connection:
            connection.execute(insert(Recovery).values(row))
            _record_start(connection, recovery, actor)
    except IntegrityError:
        raise AlreadyRunning(_running_in(databases, recovery)) from None


def _record_start(connection: WriteConnection, recovery: Recovery, actor: Actor) -> None:
    details = {"kind": recovery.action.value, "matches": recovery.total, "rate": recovery.rate_per_second}
    audit.record(
        connection,
        actor,
        "recovery.start",
        workspace_id=recovery.workspace_id,
        target=recovery.id,
        now=recovery.created_at,
        **{name: value for name, value in details.items() if value is not None},
        **filters.spell_for_machines(recovery.filter),
    )


def _running_in(databases: Databases, recovery: Recovery) -> str:
    with databases.read.connect() as connection:
        running = select(Recovery.id).where(
            Recovery.workspace_id == recovery.workspace_id,
            Recovery.scope == recovery.scope,
            Recovery.state == RecoveryState.RUNNING,
        )
        return connection.scalar(running) or ""


def _row(workspace_id: str, bounded: LogFilter, counted: MatchCount, now: datetime) -> dict[str, object]:
    since, _ = bounded.bounds(now)
    return {
        "id": ids.new("rcv"),
        "workspace_id": workspace_id,
        "filter": bounded.arguments,
        "scope": bounded.endpoint,
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


def stop(database: WriteDatabase, recovery: Recovery, *, actor: Actor) -> bool:
    """Stop it where it is; return False if it had ended. What it did so far stays done."""
    now = clock.now()
    with database.begin() as connection:
        stopped = connection.execute(
            update(Recovery)
            .where(Recovery.id == recovery.id, Recovery.state == RecoveryState.RUNNING)
            .values(state=RecoveryState.CANCELED, finished_at=now)
        ).rowcount
        if stopped:
            audit.record(
                connection,
                actor,
                "recovery.cancel",
                workspace_id=recovery.workspace_id,
                target=recovery.id,
                now=now,
            )
    return stopped == 1


def narrow(action: RecoveryAction, log_filter: LogFilter) -> LogFilter:
    """Return the filter of what the action is for. Raises FilterError where that is none of it."""
    status = log_filter.status
    if status in _REFUSALS:
        raise FilterError("status", _REFUSALS[status])
    if status not in STATUSES[action]:
        raise FilterError("status", _NONE_WAITS)
    return replace(log_filter, status=STATUSES[action][status])


def _check_endpoint(session: Session, workspace_id: str, endpoint_id: str) -> None:
    """Raise FilterError for an endpoint that is not the workspace's: the search takes it for granted."""
    if not endpoint_id:
        return
    owned = select(Endpoint.id).where(Endpoint.id == endpoint_id, Endpoint.workspace_id == workspace_id)
    if session.scalar(owned) is None:
        raise FilterError("endpoint", "Choose one of the endpoints listed.")
