"""An event as the page of one of its deliveries shows it."""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webhooks_app.db import event_bodies
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.models import Delivery, Event
from webhooks_app.deliveries.log.delivery_list import NEW_COUNTED


class EventContent(NamedTuple):
    """The bytes as sent and signed, none where they are damaged.

    Deliveries are counted up to NEW_COUNTED + 1.
    """

    body: bytes
    delivery_count: int


def read_event_content(session: Session, event_id: str) -> EventContent:
    """Return the event's body and how many deliveries it has, in one statement."""
    counted = select(Delivery.id).where(of_event(event_id)).limit(NEW_COUNTED + 1).subquery()
    count = select(func.count()).select_from(counted).scalar_subquery()
    body, delivery_count = session.execute(select(Event.body, count).where(Event.id == event_id)).one()
    return EventContent(event_bodies.of_event(event_id, body), delivery_count)
