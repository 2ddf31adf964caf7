"""Erasing the payload of one event before its time, as when a person asks for their data to be deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import FINAL_STATES, Delivery, DeliveryState, Event
from webhooks_app.deliveries import cancellations, deliveries_of_events, payload_erasure
from webhooks_app.events import fan_out_runs

# An event may have a hundred thousand deliveries; accepting waits for each transaction on SQLite.
BATCH_ROWS = 500


class UnknownEvent(LookupError):
    """There is no such event."""


class StillPending(Exception):
    """So many deliveries of the event are still to be sent, or being sent; others were `canceled` before."""

    def __init__(self, count: int, *, canceled: int) -> None:
        super().__init__(count)
        self.count = count
        self.canceled = canceled


class UpgradeUnderWay(Exception):
    """Nothing may be erased before `ends_at`."""

    def __init__(self, ends_at: datetime) -> None:
        super().__init__(ends_at)
        self.ends_at = ends_at


@dataclass(slots=True, frozen=True)
class ErasedEvent:
    """What was erased; `was_erased` says that the payload was gone before, since `payload_erased_at`."""

    event_id: str
    workspace_id: str
    payload_erased_at: datetime
    was_erased: bool
    deliveries_canceled: int
    attempts_erased: int
    # Whether PostgreSQL's statistics may still have values of it, as they could not be made anew.
    are_samples_left: bool = False


def erase(
    databases: Databases,
    event_id: str,
    *,
    cancel_pending: bool = False,
    actor: Actor,
    batch_rows: int = BATCH_ROWS,
) -> ErasedEvent:
    """Erase the event's body and values, and what its attempts sent and got; a repeat finds nothing left.

    Raises UnknownEvent, UpgradeUnderWay, and StillPending where something is to be sent of it: that is
    canceled before, except what is being sent at that moment, with `cancel_pending`.
    """
    workspace_id = _workspace_of(databases, event_id)
    if ends_at := payload_erasure.held_until(databases.read, now=clock.now()):
        raise UpgradeUnderWay(ends_at)
    canceled = _cancel(databases, workspace_id, event_id, batch_rows, actor) if cancel_pending else 0
    now = clock.now()
    with databases.write.begin() as connection:
        event = _lock(connection, event_id)
        rest = fan_out_runs.remaining(connection, [event_id])[event_id]
        waiting = _count_open(connection, event_id) + (0 if cancel_pending else rest)
        if waiting:
            raise StillPending(waiting, canceled=canceled)
        if event.payload_erased_at is None:
            payload_erasure.erase_bodies(connection, [event_id], now=now)
            audit.record(
                connection, actor, "event.erase", workspace_id=workspace_id, target=event_id, now=now
            )
    # What fans the event out finds it without a payload, and makes no more deliveries of it.
    canceled += rest
    attempts = _erase_attempts(databases, event_id, batch_rows)
    erased_at = event.payload_erased_at or now
    is_repeat = event.payload_erased_at is not None
    are_samples_left = not payload_erasure.forget_samples(databases.write)
    return ErasedEvent(event_id, workspace_id, erased_at, is_repeat, canceled, attempts, are_samples_left)


def _workspace_of(databases: Databases, event_id: str) -> str:
    if not ids.is_id("evt", event_id):
        raise UnknownEvent
    with databases.read.connect() as connection:
        found = connection.scalar(select(Event.workspace_id).where(Event.id == event_id))
    if found is None:
        raise UnknownEvent
    return found


def _lock(connection: Connection, event_id: str) -> Row[datetime | None]:
    locked = select(Event.payload_erased_at).where(Event.id == event_id).with_for_update()
    event = connection.execute(locked).first()
    if event is None:
        raise UnknownEvent
    return event


def _count_open(connection: Connection, event_id: str) -> int:
    is_open = Delivery.event_id == event_id, Delivery.state.not_in(FINAL_STATES)
    return connection.scalar(select(func.count()).select_from(Delivery).where(*is_open)) or 0


def _cancel(databases: Databases, workspace_id: str, event_id: str, batch_rows: int, actor: Actor) -> int:
    """Cancel what is pending and not being sent, and what is held; return how many deliveries."""
    is_open = Delivery.state.not_in(FINAL_STATES)
    return sum(
        _cancel_batch(databases.write, workspace_id, some, actor)
        for some in _batches(databases, event_id, batch_rows, is_open)
    )


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


def _erase_attempts(databases: Databases, event_id: str, batch_rows: int) -> int:
    count = 0
    for some in _batches(databases, event_id, batch_rows):
        with databases.write.begin() as connection:
            count += payload_erasure.erase_attempts(connection, some)
    return count


def _batches(
    databases: Databases, event_id: str, batch_rows: int, *conditions: ColumnElement[bool]
) -> Iterator[Sequence[str]]:
    """Yield the ids of the event's deliveries that meet the conditions, as many as a transaction changes."""
    for chunk in deliveries_of_events.walk(databases.read, [event_id], *conditions):
        for start in range(0, len(chunk), batch_rows):
            yield chunk[start : start + batch_rows]
