"""What of an event is still to be sent before its payload may be erased."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.models import FINAL_STATES, Delivery, DeliveryState
from webhooks_app.deliveries import cancellations, deliveries_of_events
from webhooks_app.deliveries.erasure.erased_event import ErasureLimits


@dataclass(slots=True, frozen=True)
class Canceled:
    """How many deliveries were canceled, and whether the time was over before all of them were looked at."""

    count: int
    was_time_over: bool


_IS_OPEN = Delivery.state.not_in(FINAL_STATES)
NONE_CANCELED = Canceled(0, was_time_over=False)


def count(connection: Connection, event_id: str) -> int:
    """Count the deliveries of the event that are not finished."""
    open_ones = select(func.count()).select_from(Delivery).where(of_event(event_id), _IS_OPEN)
    return connection.scalar(open_ones) or 0


def cancel(
    databases: Databases,
    workspace_id: str,
    event_id: str,
    actor: Actor,
    limits: ErasureLimits,
    deadline: float,
) -> Canceled:
    """Cancel what is pending and not being sent, and what is held, until `deadline` of time.monotonic()."""
    so_far = 0
    for some in deliveries_of_events.batches(databases.read, event_id, limits.batch_rows, _IS_OPEN):
        if time.monotonic() > deadline:
            return Canceled(so_far, was_time_over=True)
        so_far += _cancel_batch(databases.write, workspace_id, some, actor)
    return Canceled(so_far, was_time_over=False)


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
