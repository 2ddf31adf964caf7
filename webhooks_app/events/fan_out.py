"""Fanning events out: a delivery for each endpoint that subscribes, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from webhooks_app.core import ids
from webhooks_app.db import bulk_sql, delivery_inserts
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import DeliveryState, EndpointState
from webhooks_app.endpoints import destinations

# What an event type goes to in a workspace: each endpoint with the state that a delivery to it begins in.
_Topic = tuple[str, str]
_Subscribers = dict[str, DeliveryState]

# One statement for all workspaces and types of a group of events.
_SUBSCRIBED = bulk_sql.prepare_with_rows(
    """
    SELECT r.workspace_id, r.type, endpoints.id, endpoints.state
    FROM {rows}
    JOIN endpoints ON endpoints.workspace_id = r.workspace_id AND endpoints.deleted_at IS NULL
    LEFT JOIN subscriptions
        ON subscriptions.endpoint_id = endpoints.id AND subscriptions.event_type = r.type
    WHERE endpoints.all_events OR subscriptions.event_type IS NOT NULL
    """,
    {"workspace_id": "text", "type": "text"},
)


@dataclass(slots=True, frozen=True)
class FannedOut:
    """How many deliveries each event has, by its id; and whether any of them is due now."""

    deliveries: dict[str, int]
    is_due: bool


def fan_out(connection: Connection, events: Sequence[NewEventRow], now: datetime) -> FannedOut:
    """Insert the deliveries of events that the caller has inserted; rows of `events`, of any workspaces.

    Two statements however many they are, and one more where an endpoint that subscribes is disabled.
    """
    subscribers = _subscribers(connection, {(event.workspace_id, event.type) for event in events})
    deliveries = _new_deliveries(events, subscribers)
    delivery_inserts.insert(connection, deliveries, created_at=now, due_at=now)
    counts = {event.id: len(subscribers[event.workspace_id, event.type]) for event in events}
    return FannedOut(counts, any(each.state is DeliveryState.PENDING for each in deliveries))


def _new_deliveries(
    events: Sequence[NewEventRow], subscribers: dict[_Topic, _Subscribers]
) -> list[NewDelivery]:
    count = sum(len(subscribers[event.workspace_id, event.type]) for event in events)
    new_ids = iter(ids.several("dlv", count))
    return [
        NewDelivery(next(new_ids), event.workspace_id, endpoint_id, event.id, event.type, state)
        for event in events
        for endpoint_id, state in subscribers[event.workspace_id, event.type].items()
    ]


def _subscribers(connection: Connection, topics: set[_Topic]) -> dict[_Topic, _Subscribers]:
    """Return which endpoints subscribe to each type of each workspace."""
    rows = [{"workspace_id": workspace_id, "type": name} for workspace_id, name in topics]
    found: dict[_Topic, _Subscribers] = defaultdict(dict)
    disabled: set[str] = set()
    subscribed: Iterable[Any] = bulk_sql.run_with_rows(connection, _SUBSCRIBED, rows)
    for workspace_id, name, endpoint_id, state in subscribed:
        found[workspace_id, name][endpoint_id] = DeliveryState.PENDING
        if state == EndpointState.DISABLED:
            disabled.add(endpoint_id)
    if disabled:
        _hold(connection, disabled, found)
    return found


def _hold(connection: Connection, disabled: set[str], found: dict[_Topic, _Subscribers]) -> None:
    """Have what goes to disabled endpoints held, unless they have been enabled since they were read.

    The others stay disabled until the caller commits: an admin who enables one waits for that, and then sees
    what was held for it.
    """
    states = destinations.not_accepting(connection, disabled)
    for subscribers in found.values():
        subscribers |= {name: states[name] for name in subscribers.keys() & states.keys()}
