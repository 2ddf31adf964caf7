"""Erasing payloads: what an event carried goes, and what is known of its deliveries stays.

The payload is the event's body, the values that it is found by, and the content of its attempts: what
receivers answered, headers and body, may echo it, and the headers of a request say nothing without what they
sign. Outcome, status, times and address stay.

Nothing is erased while a delivery of it is still to be sent. Whoever makes a delivery of an event, begins its
schedule anew, or records what came after its end, locks the event first (`db/event_payloads.py`); whoever
erases locks it, too, and looks at its deliveries only then.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, null, or_, select, update

from webhooks_app.core import clock, ids
from webhooks_app.core.outcomes import WITHOUT_ANSWER
from webhooks_app.db import planner_statistics, rolling_upgrades
from webhooks_app.db.engines import ReadDatabase, WriteDatabase
from webhooks_app.db.event_conditions import of_events
from webhooks_app.db.models import FINAL_STATES, Attempt, Delivery, Endpoint, Event, Workspace
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.db.transient_errors import DATABASE_ERRORS, cause_of
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.events import fan_out_runs
from webhooks_app.monitoring.stored_formats import StoredFormat, StoredFormats

log = logging.getLogger(__name__)

# An event's id is made before the row of its fan-out, by less than a request may take.
_LONGEST_ACCEPT = timedelta(hours=1)
_EVENTS = Event.metadata.tables["events"]


def erasure_blocked_until(database: ReadDatabase, *, now: datetime) -> datetime | None:
    """Return until when nothing may be erased, as an upgrade is under way; None where it may.

    Processes of the previous version would replay an event that was erased, with an empty body.
    """
    with database.connect() as connection:
        ends_at = rolling_upgrades.read_end_of_old_code(connection, rolling_upgrades.PAYLOADS_APART)
    return ends_at if ends_at is not None and now < ends_at else None


def may_come_back(database: ReadDatabase) -> bool:
    """Return whether a process may run that records what attempts of erased events got.

    The code before does so where a success comes late, in an upgrade. What it recorded before this is asked
    is erased by whoever then erases the attempts.
    """
    return StoredFormats(database.connect).newest() < StoredFormat.PACKED_BODIES


def erase_attempts(connection: WriteConnection, delivery_ids: Sequence[str], /) -> int:
    """Erase headers and bodies of the attempts, and details that may quote them; return of how many.

    Those that have nothing of it are left alone and not counted.
    """
    quotes_nothing = _quotes_nothing(delivery_ids)
    has_content = or_(
        Attempt.plain_request_headers != "[]",
        Attempt.plain_response_headers.is_not(None),
        Attempt.packed_heads.is_not(None),
        Attempt.response_body.is_not(None),
        and_(Attempt.detail.is_not(None), not_(quotes_nothing)),
    )
    theirs = update(Attempt).where(Attempt.delivery_id.in_(delivery_ids), has_content)
    return connection.execute(
        theirs.values(
            plain_request_headers="[]",
            plain_response_headers=None,
            packed_heads=None,
            response_body=None,
            detail=case((quotes_nothing, Attempt.detail), else_=null()),
        )
    ).rowcount


def _quotes_nothing(delivery_ids: Sequence[str]) -> ColumnElement[bool]:
    """Return whether an attempt's detail is a sentence of ours; what a listener says is its program's."""
    by_program = select(Delivery.id).join(Endpoint, Endpoint.id == Delivery.endpoint_id)
    by_program = by_program.where(Delivery.id.in_(delivery_ids), Endpoint.is_listener)
    return and_(Attempt.outcome.in_(WITHOUT_ANSWER), Attempt.delivery_id.not_in(by_program))


def erase_finished(
    connection: WriteConnection, event_ids: Sequence[str], *, finished_before: datetime, now: datetime
) -> int:
    """Erase the bodies and values of those of the events that `unfinished` does not name; return of how many.

    Passes over those that somebody has locked.
    """
    locked = select(Event.id).where(Event.id.in_(event_ids), Event.payload_erased_at.is_(None))
    named = connection.scalars(locked.with_for_update(skip_locked=True)).all()
    # A statement of its own, so that it sees what was committed before the lock was had.
    kept = unfinished(connection, named, finished_before=finished_before)
    erase_bodies(connection, [each for each in named if each not in kept], now=now)
    return len(named) - len(kept)


def count_erased(connection: Connection, delivery_ids: Collection[str]) -> int:
    """Return how many of the deliveries have no payload any more."""
    if not delivery_ids:
        return 0
    erased = select(func.count()).join(Event, Event.id == Delivery.event_id).select_from(Delivery)
    of_these = erased.where(Delivery.id.in_(delivery_ids), Event.payload_erased_at.is_not(None))
    return connection.scalar(of_these) or 0


def unfinished(
    connection: Connection, event_ids: Sequence[str], *, finished_before: datetime | None = None
) -> set[str]:
    """Return those of the events of which something is to be sent, or was until after `finished_before`.

    An event may also be waiting for a fan-out to make its deliveries.
    """
    if not event_ids:
        return set()
    begun_before = ids.created_at(max(event_ids)) + _LONGEST_ACCEPT
    left = fan_out_runs.unfinished_events(connection, created_before=begun_before)
    conditions: list[ColumnElement[bool]] = [Delivery.state.not_in(FINAL_STATES)]
    if finished_before is not None:
        conditions.append(Delivery.finished_at > finished_before)
    is_open = or_(*conditions)
    theirs = select(Delivery.event_id).where(of_events(event_ids), is_open)
    return left.intersection(event_ids).union(connection.scalars(theirs))


def erase_bodies(connection: WriteConnection, event_ids: Sequence[str], *, now: datetime) -> None:
    """Erase the bodies and values of the events, which the caller has locked."""
    if not event_ids:
        return
    # No values, not unknown ones: those would be looked for in the body.
    nothing: dict[str, Any] = {"body": b"", "indexed_values": [], **dict.fromkeys(VALUE_COLUMNS)}
    theirs = update(Event).where(Event.id.in_(event_ids))
    connection.execute(theirs.values(payload_erased_at=now, **nothing))


def _placeholder() -> dict[str, Any]:
    """Return an event without values."""
    any_workspace = select(Workspace.id).limit(1).scalar_subquery()
    nothing = {"type": "", "body": b"", "created_at": clock.now()}
    return {"id": ids.new("evt"), "workspace_id": any_workspace, **nothing}


def forget_samples(database: WriteDatabase) -> bool:
    """Remove erased events' values from PostgreSQL's statistics; return whether they are gone.

    Of the body and of what attempts sent and got there are none: migrations 0029 and 0030.
    """
    columns = [_EVENTS.c[name] for name in VALUE_COLUMNS]
    try:
        are_out = planner_statistics.sample_anew(database, _EVENTS, columns, placeholder=_placeholder())
    except DATABASE_ERRORS as error:  # nothing else waits for it, and the next that erases tries again
        log.warning("statistics_not_sampled", extra={"cause": cause_of(error)})
        return False
    if not are_out:
        log.warning("statistics_not_sampled", extra={"cause": "not_permitted"})
    return are_out


def samples_advice(connection: Connection) -> str | None:
    """Return a sentence on a role that may not take values out of PostgreSQL's statistics."""
    return planner_statistics.advice(connection, _EVENTS)
