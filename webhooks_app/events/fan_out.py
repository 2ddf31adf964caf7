"""Fanning events out: a delivery for each endpoint that subscribes, in the caller's transaction.

What is more than one transaction may insert is recorded with it, and goes on in `fan_out_runs`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert

from webhooks_app.core import ids
from webhooks_app.db import bulk_sql, delivery_inserts
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import DeliveryState, EndpointState, FanOut
from webhooks_app.endpoints import destinations
from webhooks_app.events.fan_out_plan import FanOutPlan, PlannedDelivery, Topic

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
    """How many deliveries each event has, by its id; and whether any of them is due now.

    A `rest` is for `fan_out_runs.go_on`, once it is committed.
    """

    deliveries: dict[str, int]
    is_due: bool
    rest: Rest | None


def fan_out(
    connection: Connection,
    events: Sequence[NewEventRow],
    now: datetime,
    *,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> FannedOut:
    """Insert the deliveries of events that the caller has inserted; rows of `events`, of any workspaces.

    Two statements however many they are, one more where an endpoint that subscribes is disabled, and one
    where there is a rest. What the caller commits is accepted whole: the rest with it.
    """
    if not events:  # each was accepted before
        return FannedOut({}, is_due=False, rest=None)
    topics = [(event.id, (event.workspace_id, event.type)) for event in events]
    endpoints, disabled = _subscribers(connection, {topic for _, topic in topics})
    plan = FanOutPlan(topics, endpoints)
    first = plan.slice(0, limits.smallest_piece)
    states = destinations.not_accepting(connection, disabled) if disabled else {}
    is_due = insert_deliveries(connection, first, states, created_at=now, due_at=now)
    rest = Rest(ids.new("fan"), plan, len(first), now) if len(first) < plan.total() else None
    if rest is not None:
        _record(connection, rest, taken_until=now + timedelta(seconds=limits.lease_seconds))
    return FannedOut({event_id: plan.count(topic) for event_id, topic in topics}, is_due, rest)


def insert_deliveries(
    connection: Connection,
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
    new_ids = ids.several("dlv", len(planned))
    pending = DeliveryState.PENDING
    rows = [
        NewDelivery(new_id, *each, state=states.get(each.endpoint_id, pending))
        for new_id, each in zip(new_ids, planned, strict=True)
    ]
    delivery_inserts.insert(connection, rows, created_at=created_at, due_at=due_at)
    return any(row.state is pending for row in rows)


def _record(connection: Connection, rest: Rest, *, taken_until: datetime) -> None:
    values = {
        "id": rest.id,
        "plan": rest.plan.as_json(),
        "position": rest.position,
        "created_at": rest.created_at,
        "taken_until": taken_until,
    }
    connection.execute(insert(FanOut).values(values))


def _subscribers(connection: Connection, topics: set[Topic]) -> tuple[dict[Topic, list[str]], set[str]]:
    """Return the endpoints that subscribe to each type of each workspace, and which of all are disabled."""
    rows = [{"workspace_id": workspace_id, "type": name} for workspace_id, name in topics]
    found: dict[Topic, list[str]] = defaultdict(list)
    disabled: set[str] = set()
    for row in bulk_sql.run_with_rows(connection, _SUBSCRIBED, rows):
        found[row.workspace_id, row.type].append(row.id)
        if row.state == EndpointState.DISABLED:
            disabled.add(row.id)
    return found, disabled
