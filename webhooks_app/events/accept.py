"""Accepting events: one transaction for the events and their deliveries, then a wake-up."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection, select

from webhooks_app.core import clock, failpoints, ids
from webhooks_app.db import transient_errors
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import Delivery, Event
from webhooks_app.events import fan_out, fan_out_runs, request_hash
from webhooks_app.events.event_types import EventType
from webhooks_app.events.fan_out import DEFAULT_LIMITS, FanOutLimits, Rest
from webhooks_app.events.subscribers import Subscribers
from webhooks_app.jobs.wake_ups import WakeUps


@dataclass(slots=True, frozen=True)
class NewEvent:
    """What a producer hands over; `data` fulfils the schema of `type`, `raw_data` is its JSON as written.

    `values` are what the log finds it by: see `Catalog.indexed_values`.
    """

    type: str
    data: dict[str, Any]
    raw_data: bytes
    values: Sequence[str] = ()

    @classmethod
    def of(cls, type: str, data: dict[str, Any], values: Sequence[str] = ()) -> Self:
        """Return an event whose data this process writes as JSON, without space."""
        raw_data = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return cls(type, data, raw_data, values)

    @classmethod
    def example_of(cls, event_type: EventType) -> Self:
        """Return an event with the catalog's example of its data."""
        return cls.of(event_type.name, event_type.example, event_type.indexed_values(event_type.example))


@dataclass(slots=True, frozen=True)
class Accepted:
    """The event's id, and how many deliveries it has. `is_repeat`: it was accepted before, under its key."""

    id: str
    deliveries: int
    is_repeat: bool = field(default=False, compare=False)


class KeyReused(Exception):
    """The idempotency key belongs to an event with another type or data."""


@dataclass(slots=True, frozen=True)
class Submission:
    """What one request hands over: its events are accepted all or none.

    An idempotency key goes with a single event; where it was used before, nothing is stored and the earlier
    event is returned.
    """

    workspace_id: str
    events: Sequence[NewEvent]
    idempotency_key: str | None = None


# What comes of a submission: its events as accepted, or the reason why none was.
Outcome = Sequence[Accepted] | Exception


def accept_events(
    database: WriteDatabase,
    wake_ups: WakeUps,
    workspace_id: str,
    events: Sequence[NewEvent],
    *,
    idempotency_key: str | None = None,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> Sequence[Accepted]:
    """Store the events of one submission; see `commit`. Raises its outcome if that is an exception.

    When this returns, all of its deliveries are inserted.
    """
    submission = Submission(workspace_id, events, idempotency_key)
    go_on = partial(fan_out_runs.go_on, database, wake_ups, limits=limits)
    [outcome] = commit(database, wake_ups, [submission], go_on=go_on, limits=limits)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def commit(
    database: WriteDatabase,
    wake_ups: WakeUps,
    submissions: Sequence[Submission],
    *,
    go_on: Callable[[Rest], None],
    found: Subscribers | None = None,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> Sequence[Outcome]:
    """Store the submissions, of any workspaces, in one transaction; return the outcome of each.

    When this returns, what is accepted is committed and the workers have been woken, if Redis answered. A
    KeyReused is its submission's own. An error of the database is the outcome of each that it kept from being
    stored; where it may lie in what one of them holds, each is tried alone. `go_on` is called with what more
    deliveries there are than one transaction inserts: they are committed as recorded, and to be inserted.
    `found` are those who subscribe, if they were looked up a moment ago.
    """
    if not submissions:
        return []
    try:
        outcomes, rest = _commit_together(database, wake_ups, submissions, found, limits)
    except Exception as error:
        if len(submissions) == 1 or transient_errors.cause_of(error) is not None:
            return [error] * len(submissions)
        commit_alone = partial(commit, database, wake_ups, go_on=go_on, found=found, limits=limits)
        return [outcome for [outcome] in (commit_alone([each]) for each in submissions)]
    if rest is not None:
        go_on(rest)
    return outcomes


def _commit_together(
    database: WriteDatabase,
    wake_ups: WakeUps,
    submissions: Sequence[Submission],
    found: Subscribers | None,
    limits: FanOutLimits,
) -> tuple[Sequence[Outcome], Rest | None]:
    now = clock.now()
    rows = [event_rows(submission, now) for submission in submissions]
    all_rows = [row for some in rows for row in some]
    with database.begin() as connection:
        fanned_out = fan_out.fan_out(connection, all_rows, now, found=found, limits=limits)
        new = fanned_out.deliveries
        repeats = [some[0] for some in rows if some[0].id not in new]
        earlier = {row.id: _accepted_before(connection, row) for row in repeats}
        failpoints.hit("accept.committing")
    failpoints.hit("accept.committed")
    if fanned_out.is_due:
        wake_ups.wake_worker()
    outcomes = [earlier.get(some[0].id) or [Accepted(row.id, new[row.id]) for row in some] for some in rows]
    return outcomes, fanned_out.rest


def envelope(*, event_id: str, event_type: str, workspace_id: str, raw_data: bytes, now: datetime) -> bytes:
    """Return the request body of an event's deliveries, in UTF-8; `raw_data` stands in it as it is."""
    # None of the other values holds anything that JSON would escape: ids, a name of the catalog, a moment.
    head = (
        f'{{"id":"{event_id}","type":"{event_type}","timestamp":"{clock.format_rfc3339(now)}",'
        f'"workspace_id":"{workspace_id}","data":'
    )
    return b"%b%b}" % (head.encode(), raw_data)


def event_rows(submission: Submission, now: datetime) -> list[NewEventRow]:
    """Return the submission's events as rows of `events`, with new ids."""
    key = submission.idempotency_key
    return [
        NewEventRow(
            event_id,
            submission.workspace_id,
            event.type,
            envelope(
                event_id=event_id,
                event_type=event.type,
                workspace_id=submission.workspace_id,
                raw_data=event.raw_data,
                now=now,
            ),
            key,
            request_hash.of_event(event.type, event.data, event.raw_data) if key is not None else None,
            event.values,
        )
        for event_id, event in zip(ids.several("evt", len(submission.events)), submission.events, strict=True)
    ]


def _accepted_before(connection: Connection, row: NewEventRow) -> Outcome:
    earlier = connection.execute(
        select(Event.id, Event.request_hash, Event.body)
        .where(Event.workspace_id == row.workspace_id)
        .where(Event.idempotency_key == row.idempotency_key)
    ).one()
    if not request_hash.is_repeat(
        earlier.request_hash, earlier.body, sent_hash=row.request_hash, sent_body=row.body
    ):
        return KeyReused()
    deliveries = connection.execute(select(Delivery.id).where(Delivery.event_id == earlier.id)).all()
    count = len(deliveries) + fan_out_runs.remaining(connection, earlier.id)
    return [Accepted(earlier.id, count, is_repeat=True)]
