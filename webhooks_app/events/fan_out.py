"""Fanning events out: a delivery for each endpoint that subscribes, in the caller's transaction.

What is more than one transaction may insert is recorded with it, and goes on in `fan_out_runs`.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert

from webhooks_app.core import ids
from webhooks_app.db import delivery_inserts, event_inserts
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import DeliveryState, FanOut
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import destinations
from webhooks_app.events import subscribers
from webhooks_app.events.fan_out_plan import FanOutPlan, PlannedDelivery
from webhooks_app.events.subscribers import EventSource, Subscribers


@dataclass(frozen=True, slots=True)
class FanOutLimits:
    """How much one transaction inserts.

    The events' own transaction inserts up to `smallest_piece` deliveries. Later ones are to hold SQLite's
    write lock for no longer than `piece_seconds`, so they grow to `largest_piece` and shrink back with the
    time that they take; and `pause_seconds`, or half of that time, lets those go first who wait for the lock.
    A worker takes over a rest that nobody has moved for `lease_seconds`.
    """

    smallest_piece: int = 2000
    largest_piece: int = 4000
    piece_seconds: float = 0.1
    pause_seconds: float = 0.02
    lease_seconds: float = 10.0


DEFAULT_LIMITS = FanOutLimits()


@dataclass(slots=True)
class Rest:
    """What is recorded to be inserted later: the plan's deliveries from number `position` on."""

    id: str
    plan: FanOutPlan
    position: int
    created_at: datetime


@dataclass(slots=True, frozen=True)
class FannedOut:
    """How many deliveries each inserted event has, by the event's id; and whether any of them is due now.

    `due_endpoints` are the endpoints of the due ones, if they are known, and `due_listeners` those of them
    that are listeners. A `rest` has to be passed to `fan_out_runs.insert_rest` once it is committed.
    """

    deliveries: dict[str, int]
    is_due: bool
    rest: Rest | None
    due_endpoints: Collection[str] = ()
    due_listeners: Collection[str] = ()


def fan_out(
    connection: WriteConnection,
    events: Sequence[NewEventRow],
    now: datetime,
    *,
    found: Subscribers | None = None,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> FannedOut:
    """Insert events, of any workspaces, with their deliveries; skip those whose idempotency key was used.

    `found` are those who subscribe, if they were looked up a moment ago. One statement writes, however many
    the events are; one more where an endpoint that subscribes is disabled, and two where there is a rest.
    What the caller commits is accepted whole: the rest with it.
    """
    if found is None:
        senders = (EventSource(None, event.workspace_id, event.type) for event in events)
        found = subscribers.find(connection, senders)
    states = destinations.not_accepting(connection, found.disabled) if found.disabled else {}
    topics = [(event.id, (event.workspace_id, event.type)) for event in events]
    plan = FanOutPlan(topics, found.endpoints)
    if plan.total() > limits.smallest_piece:
        return _fan_out_in_pieces(connection, events, plan, states, now, limits)
    deliveries = _new_deliveries(plan.slice(0, plan.total()), states)
    inserted = event_inserts.insert(connection, events, deliveries, now=now)
    due = {
        each.endpoint_id
        for each in deliveries
        if each.state is DeliveryState.PENDING and each.event_id in inserted
    }
    return FannedOut(
        _counts(plan.only(inserted)),
        bool(due),
        rest=None,
        due_endpoints=due,
        due_listeners=due & found.listeners,
    )


def is_one_statement(events: Iterable[NewEventRow], found: Subscribers, limits: FanOutLimits) -> bool:
    """Return whether one statement is all that `fan_out` and what depends on it take."""
    if found.disabled:
        return False
    count = 0
    for event in events:
        if event.idempotency_key is not None:
            return False
        count += len(found.endpoints.get((event.workspace_id, event.type), ()))
    return count <= limits.smallest_piece


def _fan_out_in_pieces(
    connection: WriteConnection,
    events: Sequence[NewEventRow],
    plan: FanOutPlan,
    states: dict[str, DeliveryState],
    now: datetime,
    limits: FanOutLimits,
) -> FannedOut:
    plan = plan.only(event_inserts.insert(connection, events, now=now))
    first = plan.slice(0, limits.smallest_piece)
    is_due = insert_deliveries(connection, first, states, created_at=now, due_at=now)
    rest = Rest(ids.new("fan"), plan, len(first), now) if len(first) < plan.total() else None
    if rest is not None:
        _record(connection, rest, taken_until=now + timedelta(seconds=limits.lease_seconds))
    return FannedOut(_counts(plan), is_due, rest)


def _counts(plan: FanOutPlan) -> dict[str, int]:
    return {event_id: plan.count(topic) for event_id, topic in plan.events}


def insert_deliveries(
    connection: WriteConnection,
    planned: Sequence[PlannedDelivery],
    states: dict[str, DeliveryState],
    *,
    created_at: datetime,
    due_at: datetime,
) -> bool:
    """Insert the deliveries; `states` are those at endpoints that accept none, by the endpoint's id.

    Return whether any is due. An endpoint that was enabled since it was read is not among the `states`; the
    others stay disabled until the caller commits: an admin who enables one waits for that, and then sees what
    was held for it.
    """
    rows = _new_deliveries(planned, states)
    delivery_inserts.insert(connection, rows, created_at=created_at, due_at=due_at)
    return any(row.state is DeliveryState.PENDING for row in rows)


def _new_deliveries(
    planned: Sequence[PlannedDelivery], states: dict[str, DeliveryState]
) -> list[NewDelivery]:
    pending = DeliveryState.PENDING
    return [
        NewDelivery(new_id, *each, state=states.get(each.endpoint_id, pending))
        for new_id, each in zip(ids.several("dlv", len(planned)), planned, strict=True)
    ]


def _record(connection: WriteConnection, rest: Rest, *, taken_until: datetime) -> None:
    values = {
        "id": rest.id,
        "plan": rest.plan.as_json(),
        "position": rest.position,
        "created_at": rest.created_at,
        "taken_until": taken_until,
    }
    connection.execute(insert(FanOut).values(values))
