"""Erasing the payload of one event before its time, as when a person asks for their data to be deleted."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.models import FINAL_STATES, Delivery, DeliveryState, Event, LatePayload
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.db.upsert import insert_rows_if_new
from webhooks_app.deliveries import cancellations, deliveries_of_events
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.erasure.database_copies import forget_copies
from webhooks_app.deliveries.erasure.erased_event import DEFAULT_LIMITS, ErasedEvent, ErasureLimits
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
    if ends_at := payload_rows.held_until(databases.read, now=clock.now()):
        raise UpgradeUnderWay(ends_at)
    canceled, was_time_over = 0, False
    if cancel_pending:
        canceled, was_time_over = _cancel(
            databases, workspace_id, event_id, actor, limits.batch_rows, deadline
        )
    may_come_back = payload_rows.may_come_back(databases.read)
    now = clock.now()
    with databases.write.begin() as connection:
        event = _lock(connection, event_id)
        rest = fan_out_runs.remaining(connection, [event_id])[event_id]
        waiting = _count_open(connection, event_id) + (0 if cancel_pending else rest)
        if waiting:
            raise StillPending(waiting, canceled=canceled, was_time_over=was_time_over)
        was_erased = event.payload_erased_at is not None
        is_complete = was_erased and not _is_left_to_retention(connection, workspace_id, event_id)
        _leave_to_retention(connection, workspace_id, event_id)
        if not was_erased:
            payload_rows.erase_bodies(connection, [event_id], now=now)
            _record(connection, actor, workspace_id, event_id, rest, now)
            # What fans the event out finds it without a payload, and makes no more deliveries of it.
            canceled += rest
    attempts, is_done = _erase_attempts(databases, event_id, limits.batch_rows, deadline)
    return ErasedEvent(
        event_id,
        workspace_id,
        payload_erased_at=event.payload_erased_at or now,
        was_erased=was_erased,
        deliveries_canceled=canceled,
        attempts_erased=attempts,
        are_attempts_left=not is_done,
        are_samples_left=event.may_be_sampled and not is_complete,
        is_left_in_log=attempts > 0 or not is_complete,
        may_come_back=may_come_back,
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
    connection: Connection, actor: Actor, workspace_id: str, event_id: str, rest: int, now: datetime
) -> None:
    """Audit the erasure, with how many deliveries will not be made: no other row tells of these."""
    details = {"deliveries_never_made": rest} if rest else {}
    audit.record(
        connection, actor, "event.erase", workspace_id=workspace_id, target=event_id, now=now, **details
    )


def _leave_to_retention(connection: Connection, workspace_id: str, event_id: str) -> None:
    insert_rows_if_new(connection, LatePayload, [{"workspace_id": workspace_id, "event_id": event_id}])


def _is_left_to_retention(connection: Connection, workspace_id: str, event_id: str) -> bool:
    mine = LatePayload.workspace_id == workspace_id, LatePayload.event_id == event_id
    return connection.execute(select(LatePayload.event_id).where(*mine)).first() is not None


def _lock(connection: Connection, event_id: str) -> Row[datetime | None, bool]:
    """Return when its payload was erased, and whether statistics may have values of it."""
    has_values = or_(*(getattr(Event, name).is_not(None) for name in VALUE_COLUMNS))
    sampled = or_(Event.payload_erased_at.is_not(None), has_values).label("may_be_sampled")
    locked = select(Event.payload_erased_at, sampled).where(Event.id == event_id)
    event = connection.execute(locked.with_for_update()).first()
    if event is None:
        raise UnknownEvent
    return event


def _count_open(connection: Connection, event_id: str) -> int:
    is_open = of_event(event_id), Delivery.state.not_in(FINAL_STATES)
    return connection.scalar(select(func.count()).select_from(Delivery).where(*is_open)) or 0


def _cancel(
    databases: Databases, workspace_id: str, event_id: str, actor: Actor, batch_rows: int, deadline: float
) -> tuple[int, bool]:
    """Cancel what is pending and not being sent, and what is held.

    Return how many deliveries, and whether the time was over before all of them were looked at.
    """
    count, is_open = 0, Delivery.state.not_in(FINAL_STATES)
    for some in _batches(databases, event_id, batch_rows, is_open):
        if time.monotonic() > deadline:
            return count, True
        count += _cancel_batch(databases.write, workspace_id, some, actor)
    return count, False


def _cancel_batch(
    database: WriteDatabase, workspace_id: str, delivery_ids: Sequence[str], actor: Actor
) -> int:
    now = clock.now()
    held = update(Delivery).where(Delivery.id.in_(delivery_ids), Delivery.state == DeliveryState.HELD)
    discarding = held.values(state=DeliveryState.CANCELED, finished_at=now).returning(Delivery.id)
    with database.begin() as connection:
        canceled = list(cancellations.cancel_several(connection, workspace_id, delivery_ids, now=now))
        canceled += connection.scalars(discarding)
        audit.record_each(
            connection, actor, "delivery.cancel", workspace_id=workspace_id, targets=canceled, now=now
        )
    return len(canceled)


def _erase_attempts(
    databases: Databases, event_id: str, batch_rows: int, deadline: float
) -> tuple[int, bool]:
    """Return of how many attempts it erased the content, and whether that was all."""
    count = 0
    for some in _batches(databases, event_id, batch_rows):
        if time.monotonic() > deadline:
            return count, False
        with databases.write.begin() as connection:
            count += payload_rows.erase_attempts(connection, some)
    return count, True


def _batches(
    databases: Databases, event_id: str, batch_rows: int, *conditions: ColumnElement[bool]
) -> Iterator[Sequence[str]]:
    """Yield the ids of the event's deliveries that meet the conditions, as many as a transaction changes."""
    for chunk in deliveries_of_events.walk(databases.read, [event_id], *conditions):
        for start in range(0, len(chunk), batch_rows):
            yield chunk[start : start + batch_rows]
