"""Events of the past, delivered to a listener that was not there when they came."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, or_, select

from webhooks_app.core import clock, ids
from webhooks_app.db import delivery_inserts
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Event, Listener

LONGEST = timedelta(days=7)
MOST = 1000


@dataclass(slots=True, frozen=True)
class Filled:
    """How many events were added; whether there are more of that time, the oldest of which were left out."""

    count: int
    has_more: bool


def fill(
    database: WriteDatabase,
    workspace_id: str,
    endpoint_id: str,
    *,
    since: datetime,
    event_types: Collection[str] | None,
    most: int = MOST,
) -> Filled:
    """Deliver the newest events since that moment to the listener, the oldest of them first.

    What it got since it began is left out, so that a program which asks again gets nothing twice; and so are
    test events of other endpoints. `event_types` None stands for all.
    """
    with database.begin() as connection:
        # Locked, so that two that ask at once do not add the same.
        own = select(Listener.started_at).where(Listener.endpoint_id == endpoint_id)
        started_at = connection.execute(own.with_for_update()).scalar_one()
        now = clock.now()
        rows = _newest(connection, workspace_id, endpoint_id, since, started_at, event_types, most + 1)
        chosen = rows[:most][::-1]
        names = ids.several("dlv", len(chosen))
        state = DeliveryState.PENDING
        deliveries = [
            NewDelivery(name, workspace_id, endpoint_id, event_id, event_type, state)
            for name, (event_id, event_type) in zip(names, chosen, strict=True)
        ]
        delivery_inserts.insert(connection, deliveries, created_at=now, due_at=now)
    return Filled(len(chosen), len(rows) > most)


def _newest(
    connection: Connection,
    workspace_id: str,
    endpoint_id: str,
    since: datetime,
    started_at: datetime,
    event_types: Collection[str] | None,
    limit: int,
) -> list[tuple[str, str]]:
    had = and_(Delivery.endpoint_id == endpoint_id, Delivery.created_at >= started_at)
    in_hand = select(Delivery.id).where(Delivery.event_id == Event.id, or_(had, Delivery.is_test)).exists()
    statement = (
        select(Event.id, Event.type)
        .where(Event.workspace_id == workspace_id, Event.id >= ids.floor("evt", since), ~in_hand)
        .where(Event.payload_erased_at.is_(None))
        .order_by(Event.id.desc())
        .limit(limit)
        .with_for_update(of=Event, read=True, key_share=True)  # no payload is erased meanwhile
    )
    if event_types is not None:
        statement = statement.where(Event.type.in_(event_types))
    return [(row.id, row.type) for row in connection.execute(statement)]
