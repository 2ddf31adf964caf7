"""Erasing the payload of one event before its time, as when a person asks for their data to be deleted."""

import time
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Row, or_, select

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Event, LatePayload
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.db.upsert import insert_rows_if_new
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries import deliveries_of_events
from webhooks_app.deliveries.erasure import open_deliveries, payload_rows
from webhooks_app.deliveries.erasure.database_copies import forget_copies
from webhooks_app.deliveries.erasure.erased_event import DEFAULT_LIMITS, ErasedEvent, ErasureLimits
from webhooks_app.deliveries.erasure.open_deliveries import NONE_CANCELED, Canceled
from webhooks_app.events import fan_out_runs


class UnknownEvent(LookupError):
    """There is no such event."""


class StillPending(Exception):
    """So many deliveries of the event are still to be sent, or being sent; others were `canceled` before.

    `was_time_over`: not all that could be canceled was, as the time for it was over.
    """

    def __init__(self, count: int, *, canceled: int, was_time_over: bool) -> None:
        super().__init__(count)
        self.count = count
        self.canceled = canceled
        self.was_time_over = was_time_over


class UpgradeUnderWay(Exception):
    """Nothing may be erased before `ends_at`."""

    def __init__(self, ends_at: datetime) -> None:
        super().__init__(ends_at)
        self.ends_at = ends_at


def erase(
    databases: Databases,
    event_id: str,
    *,
    workspace_id: str | None = None,
    cancel_pending: bool = False,
    actor: Actor,
    limits: ErasureLimits = DEFAULT_LIMITS,
) -> ErasedEvent:
    """Do `erase_rows` and `forget_copies` for one event."""
    erased = erase_rows(
        databases,
        event_id,
        workspace_id=workspace_id,
        cancel_pending=cancel_pending,
        actor=actor,
        limits=limits,
    )
    [done] = forget_copies(databases, [erased], limits=limits)
    return done


def erase_rows(
    databases: Databases,
    event_id: str,
    *,
    workspace_id: str | None = None,
    cancel_pending: bool = False,
    actor: Actor,
    limits: ErasureLimits = DEFAULT_LIMITS,
) -> ErasedEvent:
    """Erase the event's body and values, and what its attempts sent and got; a repeat does what is there.

    What is left then, as it was killed or its time was over, is also erased by the next run of retention.
    What the database itself has copies of is for `forget_copies`, and stands in what is returned.
    Raises UnknownEvent, also for one of another workspace than `workspace_id`, UpgradeUnderWay, and
    StillPending where something is to be sent of it: that is canceled before, except what is being sent at
    that moment, with `cancel_pending`.
    """
    deadline = time.monotonic() + limits.seconds
    workspace_id = _workspace_of(databases, event_id, workspace_id)
    if ends_at := payload_rows.erasure_blocked_until(databases.read, now=clock.now()):
        raise UpgradeUnderWay(ends_at)
    canceled = NONE_CANCELED
    if cancel_pending:
        canceled = open_deliveries.cancel(databases, workspace_id, event_id, actor, limits, deadline)
    may_come_back = payload_rows.may_come_back(databases.read)
    now = clock.now()
    with databases.write.begin() as connection:
        erased = _erase_body(
            connection, workspace_id, event_id, actor, canceled, cancels_rest=cancel_pending, now=now
        )
    attempts, is_done = _erase_attempts(databases, event_id, limits.batch_rows, deadline)
    return replace(
        erased,
        attempts_erased=attempts,
        are_attempts_left=not is_done,
        is_left_in_wal=attempts > 0 or erased.is_left_in_wal,
        may_come_back=may_come_back,
    )


def _erase_body(
    connection: WriteConnection,
    workspace_id: str,
    event_id: str,
    actor: Actor,
    canceled: Canceled,
    *,
    cancels_rest: bool,
    now: datetime,
) -> ErasedEvent:
    """Erase the event's body and values, unless they were before; return what that came to by itself.

    What fans the event out finds it without a payload, and makes no more deliveries of it.
    Raises UnknownEvent and StillPending.
    """
    event = _lock(connection, event_id)
    rest = fan_out_runs.remaining(connection, [event_id])[event_id]
    waiting = open_deliveries.count(connection, event_id) + (0 if cancels_rest else rest)
    if waiting:
        raise StillPending(waiting, canceled=canceled.count, was_time_over=canceled.was_time_over)
    was_erased = event.payload_erased_at is not None
    is_complete = was_erased and not _is_left_to_retention(connection, workspace_id, event_id)
    _leave_to_retention(connection, workspace_id, event_id)
    if not was_erased:
        payload_rows.erase_bodies(connection, [event_id], now=now)
        _record(connection, actor, workspace_id, event_id, rest, now)
    return ErasedEvent(
        event_id,
        workspace_id,
        payload_erased_at=event.payload_erased_at or now,
        was_erased=was_erased,
        deliveries_canceled=canceled.count + (0 if was_erased else rest),
        attempts_erased=0,
        are_attempts_left=True,
        are_samples_left=event.may_be_sampled and not is_complete,
        is_left_in_wal=not is_complete,
        may_come_back=False,
    )


def _workspace_of(databases: Databases, event_id: str, workspace_id: str | None) -> str:
    if not ids.is_id("evt", event_id):
        raise UnknownEvent
    with databases.read.connect() as connection:
        found = connection.scalar(select(Event.workspace_id).where(Event.id == event_id))
    if found is None or workspace_id not in (None, found):
        raise UnknownEvent
    return found


def _record(
    connection: WriteConnection, actor: Actor, workspace_id: str, event_id: str, rest: int, now: datetime
) -> None:
    """Audit the erasure, with how many deliveries will not be made: no other row tells of these."""
    details = {"deliveries_never_made": rest} if rest else {}
    audit.record(
        connection, actor, "event.erase", workspace_id=workspace_id, target=event_id, now=now, **details
    )


def _leave_to_retention(connection: WriteConnection, workspace_id: str, event_id: str) -> None:
    insert_rows_if_new(connection, LatePayload, [{"workspace_id": workspace_id, "event_id": event_id}])


def _is_left_to_retention(connection: Connection, workspace_id: str, event_id: str) -> bool:
    mine = LatePayload.workspace_id == workspace_id, LatePayload.event_id == event_id
    return connection.execute(select(LatePayload.event_id).where(*mine)).first() is not None


def _lock(connection: WriteConnection, event_id: str) -> Row[datetime | None, bool]:
    """Return when its payload was erased, and whether statistics may have values of it."""
    has_values = or_(*(getattr(Event, name).is_not(None) for name in VALUE_COLUMNS))
    sampled = or_(Event.payload_erased_at.is_not(None), has_values).label("may_be_sampled")
    locked = select(Event.payload_erased_at, sampled).where(Event.id == event_id)
    event = connection.execute(locked.with_for_update()).first()
    if event is None:
        raise UnknownEvent
    return event


def _erase_attempts(
    databases: Databases, event_id: str, batch_rows: int, deadline: float
) -> tuple[int, bool]:
    """Return of how many attempts it erased the content, and whether that was all."""
    count = 0
    for some in deliveries_of_events.batches(databases.read, event_id, batch_rows):
        if time.monotonic() > deadline:
            return count, False
        with databases.write.begin() as connection:
            count += payload_rows.erase_attempts(connection, some)
    return count, True
