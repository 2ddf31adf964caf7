"""Events of the past, delivered to a listener that was not there when they came.

They are looked for and added in pieces, so that neither SQLite's one write lock nor a statement of PostgreSQL
takes long, however much the workspace has sent since.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from webhooks_app.core import clock, ids
from webhooks_app.db import delivery_inserts, moment_index
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, Event, Listener
from webhooks_app.listeners import ending, listener_limits

LONGEST = timedelta(days=7)
MOST = 1000


@dataclass(slots=True, frozen=True)
class PastLimits:
    """How much is added and looked at.

    `most` events at all; one statement looks at `looked_at` of them, one transaction adds `added`. After
    `seconds` no further ones are looked for: the newest are there then.
    """

    most: int = MOST
    looked_at: int = 500
    added: int = 100
    seconds: float = 3.0


DEFAULT_LIMITS = PastLimits()


@dataclass(slots=True, frozen=True)
class AddedEvents:
    """How many events were added; whether older ones of that time were left out."""

    count: int
    has_more: bool


@dataclass(slots=True, frozen=True)
class _Past:
    """Whose events are wanted, and since when; `started_at` is when the listener began."""

    workspace_id: str
    endpoint_id: str
    since: datetime
    started_at: datetime
    event_types: Collection[str] | None


_Found = tuple[str, str]  # an event's id and type


def add_past_events(
    databases: Databases,
    workspace_id: str,
    endpoint_id: str,
    *,
    since: datetime,
    event_types: Collection[str] | None,
    limits: PastLimits = DEFAULT_LIMITS,
) -> AddedEvents:
    """Deliver the newest events since that moment to the listener, the oldest of them first.

    What it got since it began is left out, so that a program which asks again gets nothing twice, also where
    it was cut off in between; and so are test events of other endpoints. `event_types` None stands for all.
    """
    with databases.read.connect_autocommit() as connection:
        started_at = connection.scalar(select(Listener.started_at).where(Listener.endpoint_id == endpoint_id))
        past = _Past(workspace_id, endpoint_id, since, started_at or since, event_types)
        found, has_more = _newest(connection, past, limits)
    found.reverse()
    count = 0
    for start in range(0, len(found), limits.added):
        count += _add(databases.write, past, found[start : start + limits.added])
    return AddedEvents(count, has_more)


def _newest(connection: Connection, past: _Past, limits: PastLimits) -> tuple[list[_Found], bool]:
    """Return the newest events that it has not got, newest first, and whether there may be older ones."""
    until, found = time.monotonic() + limits.seconds, list[_Found]()
    rows = _read_piece(connection, past, None, limits.looked_at)
    while True:
        found += [(row.id, row.type) for row in rows if row.is_wanted]
        if len(found) > limits.most:
            return found[: limits.most], True
        if len(rows) < limits.looked_at:
            return found, False
        if time.monotonic() > until:
            return found, True
        rows = _read_piece(connection, past, rows[-1].id, limits.looked_at)


def _read_piece(
    connection: Connection, past: _Past, before: str | None, count: int
) -> Sequence[Row[str, str, bool]]:
    statement = select(Event.id, Event.type, _is_wanted(past).label("is_wanted"))
    statement = statement.where(moment_index.found_by((Event.workspace_id, past.workspace_id)))
    statement = statement.where(moment_index.above(Event.id, ids.floor("evt", past.since)))
    if before is not None:
        statement = statement.where(moment_index.below(Event.id, before))
    newest = moment_index.first(connection.dialect, statement, Event.id, count, upwards=False)
    return connection.execute(newest).all()


def _add(database: WriteDatabase, past: _Past, found: Sequence[_Found]) -> int:
    """Add those of them that it has not got meanwhile, none once it has ended; return how many."""
    with database.begin() as connection:
        # Two that ask at once do not add the same.
        token_id = connection.scalar(ending.locked(past.endpoint_id).with_only_columns(Listener.token_id))
        live = select(Endpoint.id).where(Endpoint.id == past.endpoint_id, Endpoint.deleted_at.is_(None))
        if token_id is None or connection.scalar(live) is None:
            return 0
        wanted = select(Event.id).where(Event.id.in_([event_id for event_id, _ in found]), _is_wanted(past))
        # No payload is erased meanwhile.
        still_wanted = set(connection.scalars(wanted.with_for_update(of=Event, read=True, key_share=True)))
        chosen = [each for each in found if each[0] in still_wanted]
        now, names = clock.now(), ids.several("dlv", len(chosen))
        owner, state = (past.workspace_id, past.endpoint_id), DeliveryState.PENDING
        deliveries = [
            NewDelivery(name, *owner, *event, state) for name, event in zip(names, chosen, strict=True)
        ]
        delivery_inserts.insert(connection, deliveries, created_at=now, due_at=now)
        listener_limits.count_past(connection, past.workspace_id, token_id, count=len(chosen), now=now)
    return len(chosen)


def _is_wanted(past: _Past) -> ColumnElement[bool]:
    had = and_(Delivery.endpoint_id == past.endpoint_id, Delivery.created_at >= past.started_at)
    in_hand = select(Delivery.id).where(of_event(Event.id), or_(had, Delivery.is_test)).exists()
    is_new = and_(Event.payload_erased_at.is_(None), ~in_hand)
    return is_new if past.event_types is None else and_(Event.type.in_(past.event_types), is_new)
