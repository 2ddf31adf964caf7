"""Finding deliveries by a value of their event that is indexed at accept, at once however long the log.

They come in the order of their events, and within an event by their own ids: the index sorts by the event.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, or_, select, union
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.db import moment_index
from webhooks_app.db.event_conditions import of_event, of_events
from webhooks_app.db.keyset import Condition, SearchLimits, SearchResult
from webhooks_app.db.models import Delivery, Event
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.db.moment_index import in_order

# A page's worth of events first, as most have few deliveries; more of them where few of those match.
_FIRST_EVENTS = 26
_MOST_EVENTS = 200
# A delivery that a large fan-out adds later has an id that is younger than its event's.
_LONGEST_FAN_OUT = timedelta(hours=1)


class _Place(NamedTuple):
    """Where in the order a search stands; without a delivery, before all of the event's."""

    event_id: str
    delivery_id: str = ""


def is_known(session: Session, workspace_id: str, value: str) -> bool:
    """Return whether any event of the workspace has the value, which is folded."""
    return bool(value) and bool(_next_events(session, workspace_id, value, [], 1, upwards=False))


def find(
    session: Session,
    workspace_id: str,
    value: str,
    conditions: Sequence[Condition],
    bounds: tuple[datetime | None, datetime | None],
    *,
    limit: int,
    cursor: str,
    upwards: bool,
    limits: SearchLimits,
) -> SearchResult:
    """Return up to `limit` ids behind the delivery `cursor`, if it is one: the newest or the oldest first."""
    deadline = time.monotonic() + limits.seconds
    place = _place(session, workspace_id, cursor) if ids.is_id("dlv", cursor) else None
    event_bounds = _event_bounds(bounds)
    found: list[str] = []
    size, events_read = _FIRST_EVENTS, 0
    while True:
        within = [*event_bounds, *([_is_not_before(place, upwards)] if place else [])]
        event_ids = _next_events(session, workspace_id, value, within, size, upwards)
        if event_ids:
            is_behind = [_is_behind(place, upwards)] if place else []
            matches = [Delivery.workspace_id == workspace_id, *is_behind, *conditions]
            found += _deliveries(session, event_ids, matches, limit + 1 - len(found), upwards)
        if len(found) > limit:
            return SearchResult(found[:limit], True)
        if len(event_ids) < size:
            return SearchResult(found, False)
        place = _end_of(session, event_ids[-1], upwards)
        events_read += len(event_ids)
        if events_read >= limits.rows or time.monotonic() > deadline:
            return SearchResult(found, True, place.delivery_id)
        size = _MOST_EVENTS


def _event_bounds(bounds: tuple[datetime | None, datetime | None]) -> list[Condition]:
    """Return what events must fulfil so that their deliveries may lie within the filter's time."""
    since, until = bounds
    conditions = []
    if since:
        conditions.append(moment_index.above(Event.id, ids.floor("evt", since - _LONGEST_FAN_OUT)))
    if until:
        conditions.append(moment_index.below(Event.id, ids.floor("evt", until)))
    return conditions


def _place(session: Session, workspace_id: str, delivery_id: str) -> _Place:
    """Return where a delivery stands; for one that is gone, where it would have."""
    theirs = select(Delivery.event_id).where(Delivery.id == delivery_id)
    event_id = session.scalar(theirs.where(Delivery.workspace_id == workspace_id))
    return _Place(event_id or ids.floor("evt", ids.created_at(delivery_id)), delivery_id)


def _next_events(
    session: Session, workspace_id: str, value: str, within: Sequence[Condition], size: int, upwards: bool
) -> list[str]:
    """Return the next events of the index of each column, merged; one may have the value in two of them."""
    is_owned = moment_index.found_by((Event.workspace_id, workspace_id))
    having = [select(Event.id).where(is_owned, getattr(Event, name) == value) for name in VALUE_COLUMNS]
    dialect = session.get_bind().dialect
    parts = [
        moment_index.first(dialect, each.where(*within), Event.id, size, upwards=upwards).subquery()
        for each in having
    ]
    merged = union(*(select(part.c.id) for part in parts)).subquery()
    return list(session.scalars(select(merged.c.id).order_by(in_order(merged.c.id, upwards)).limit(size)))


def _is_not_before(place: _Place, upwards: bool) -> Condition:
    # That event's own deliveries may lie on both sides.
    towards = moment_index.above if upwards else moment_index.below
    return towards(Event.id, place.event_id, inclusive=True)


def _is_behind(place: _Place, upwards: bool) -> Condition:
    column = Delivery.id
    is_behind = column > place.delivery_id if upwards else column < place.delivery_id
    return or_(Delivery.event_id != place.event_id, is_behind)


def _deliveries(
    session: Session, event_ids: Sequence[str], conditions: Sequence[Condition], limit: int, upwards: bool
) -> Sequence[str]:
    # Two statements instead of a join, which may come out as a scan.
    statement = select(Delivery.id).where(of_events(event_ids), *conditions)
    order = [in_order(column, upwards) for column in (Delivery.event_id, Delivery.id)]
    return session.scalars(statement.order_by(*order).limit(limit)).all()


def _end_of(session: Session, event_id: str, upwards: bool) -> _Place:
    """Return the place behind all of an event's deliveries."""
    last = func.max(Delivery.id) if upwards else func.min(Delivery.id)
    delivery_id = session.scalar(select(last).where(of_event(event_id)))
    return _Place(event_id, delivery_id or ids.floor("dlv", ids.created_at(event_id)))
