"""Single subscriptions of an endpoint. Each action is one transaction with its audit row."""

from datetime import datetime

from sqlalchemy import delete, select

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Subscription
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints.signing_secrets import mark_changed


class TakesAllEvents(Exception):
    """The endpoint gets all events, so it has no single subscriptions."""


class LastSubscription(Exception):
    """Without it the endpoint would get nothing."""


def add(database: WriteDatabase, endpoint: Endpoint, event_type: str, *, actor: Actor) -> bool:
    """Subscribe the endpoint to the event type; return False if it was. Raises TakesAllEvents."""
    now = clock.now()
    with database.begin() as connection:
        _lock(connection, endpoint)
        row = {"endpoint_id": endpoint.id, "event_type": event_type}
        is_new = upsert.insert_if_new(connection, Subscription, row)
        if is_new:
            _record(connection, endpoint, actor, now, subscribed=event_type)
    return is_new


def remove(database: WriteDatabase, endpoint: Endpoint, event_type: str, *, actor: Actor) -> bool:
    """Unsubscribe it; return False if it was not. Raises TakesAllEvents and LastSubscription."""
    now = clock.now()
    mine = Subscription.endpoint_id == endpoint.id
    with database.begin() as connection:
        _lock(connection, endpoint)
        types = connection.scalars(select(Subscription.event_type).where(mine).limit(2)).all()
        if types == [event_type]:
            raise LastSubscription
        removed = connection.execute(delete(Subscription).where(mine, Subscription.event_type == event_type))
        if removed.rowcount:
            _record(connection, endpoint, actor, now, unsubscribed=event_type)
    return removed.rowcount == 1


def _lock(connection: WriteConnection, endpoint: Endpoint) -> None:
    stored = select(Endpoint.all_events).where(Endpoint.id == endpoint.id, Endpoint.deleted_at.is_(None))
    if connection.scalar(stored.with_for_update()) is not False:
        raise TakesAllEvents


def _record(
    connection: WriteConnection, endpoint: Endpoint, actor: Actor, now: datetime, **details: str
) -> None:
    mark_changed(connection, endpoint.id, now)
    audit.record(
        connection,
        actor,
        "endpoint.change",
        workspace_id=endpoint.workspace_id,
        target=endpoint.id,
        now=now,
        **details,
    )
