"""Which events have their payload, and keep it for as long as somebody works on them."""

from collections.abc import Collection

from sqlalchemy import Select, select

from webhooks_app.db.models import Event
from webhooks_app.db.write_connection import WriteConnection


def lock_unerased(connection: WriteConnection, event_ids: Select[str] | Collection[str]) -> list[str]:
    """Return those of the events that have their payload, and keep it until the transaction ends."""
    present = select(Event.id).where(Event.id.in_(event_ids), Event.payload_erased_at.is_(None))
    return list(connection.scalars(present.order_by(Event.id).with_for_update(read=True)))
