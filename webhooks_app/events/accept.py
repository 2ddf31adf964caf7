"""Accepting events: one transaction for the events and their deliveries, then a wake-up."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row, func, select

from webhooks_app.core import clock, failpoints, ids
from webhooks_app.db import event_bodies, transient_errors
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.event_conditions import of_events
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import Delivery, Event
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.events import batch_keys, fan_out, fan_out_runs, request_hash
from webhooks_app.events.batch_keys import BatchReservations
from webhooks_app.events.fan_out import DEFAULT_LIMITS, FannedOut, FanOutLimits, Rest
from webhooks_app.events.submissions import Accepted, KeyReused, Submission, SubmissionResult
from webhooks_app.events.subscribers import Subscribers
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.stored_formats import StoredFormat

log = logging.getLogger(__name__)


class KeyFreed(Exception):
    """What held an idempotency key was deleted during the look-up: nothing was stored, so try again."""


def commit(
    database: WriteDatabase,
    wake_ups: WakeUps,
    submissions: Sequence[Submission],
    *,
    handle_rest: Callable[[Rest], None],
    found: Subscribers | None = None,
    stored_format: StoredFormat = StoredFormat.PLAIN,
    limits: FanOutLimits = DEFAULT_LIMITS,
) -> Sequence[SubmissionResult]:
    """Store the submissions, of any workspaces, in one transaction; return the outcome of each.

    When this returns, what is accepted is committed and the workers have been woken, if Redis answered. A
    KeyReused is the outcome of its own submission only. A transient error of the database is the outcome of
    every submission; after any other error each is tried alone, as one of them may have caused it.
    `handle_rest` is called with the deliveries beyond what one transaction inserts. `found` is what
    `subscribers.find` has just returned. Every process that runs must be able to read `stored_format`.
    """
    if not submissions:
        return []
    try:
        outcomes, fanned_out = _commit_together(database, submissions, found, stored_format, limits)
    except Exception as error:
        again = partial(
            commit,
            database,
            wake_ups,
            handle_rest=handle_rest,
            found=found,
            stored_format=stored_format,
            limits=limits,
        )
        if isinstance(error, KeyFreed):
            return again(submissions)
        if len(submissions) == 1 or transient_errors.cause_of(error) is not None:
            return [error] * len(submissions)
        return [outcome for [outcome] in (again([each]) for each in submissions)]
    _wake(wake_ups, fanned_out)
    if fanned_out.rest is not None:
        handle_rest(fanned_out.rest)
    return outcomes


def _wake(wake_ups: WakeUps, fanned_out: FannedOut) -> None:
    """Wake the workers for what is committed; an error stays here, as the events are accepted anyway."""
    if not fanned_out.is_due:
        return
    try:
        wake_ups.wake_worker(fanned_out.due_endpoints, listener_ids=fanned_out.due_listeners)
    except Exception:  # otherwise the events would be reported as refused, or even be accepted again
        log.exception("wake_up_failed")


def _commit_together(
    database: WriteDatabase,
    submissions: Sequence[Submission],
    found: Subscribers | None,
    stored_format: StoredFormat,
    limits: FanOutLimits,
) -> tuple[Sequence[SubmissionResult], FannedOut]:
    now = clock.now()
    rows = [event_rows(submission, now) for submission in submissions]
    keyed = batch_keys.batch_rows(submissions, now)
    is_single = not keyed and found is not None and fan_out.is_one_statement(chain(*rows), found, limits)
    if is_single:
        # The statement itself may commit.
        failpoints.hit("accept.committing", [row.id for row in chain(*rows)])
    with database.begin_single() if is_single else database.begin() as connection:
        claims = batch_keys.reserve(connection, keyed)
        all_rows = [row for at, some in enumerate(rows) if claims.stores(at) for row in some]
        stored = [_as_stored(row, stored_format) for row in all_rows]
        fanned_out = fan_out.fan_out(connection, stored, now, found=found, limits=limits)
        new = {name: Accepted(name, count) for name, count in fanned_out.deliveries.items()}
        earlier = _accepted_before(connection, [row for row in all_rows if row.id not in new])
        outcomes = _outcomes(rows, claims, new, earlier)
        for at, batch_id in claims.new.items():
            _complete(connection, batch_id, outcomes[at])
        if not is_single:
            failpoints.hit("accept.committing", new)
    failpoints.hit("accept.committed", new)
    return outcomes, fanned_out


def _as_stored(row: NewEventRow, stored_format: StoredFormat) -> NewEventRow:
    if stored_format < StoredFormat.PACKED_BODIES:
        return row
    has_shared_values = stored_format >= StoredFormat.SHARED_VALUES
    return row._replace(body=event_bodies.pack(row.body), has_shared_values=has_shared_values)


def _outcomes(
    rows: Sequence[Sequence[NewEventRow]],
    claims: BatchReservations,
    new: Mapping[str, Accepted],
    earlier: Mapping[str, Accepted | None],
) -> Sequence[SubmissionResult]:
    outcomes: list[SubmissionResult] = []
    for at, some in enumerate(rows):
        if (same := claims.repeats.get(at)) is not None:
            outcomes.append(batch_keys.repeat(outcomes[same]))
        else:
            outcomes.append(claims.earlier[at] if at in claims.earlier else _outcome(some, new, earlier))
    return outcomes


def _outcome(
    rows: Sequence[NewEventRow], new: Mapping[str, Accepted], earlier: Mapping[str, Accepted | None]
) -> SubmissionResult:
    """Return what came of a submission.

    Raises KeyReused where that is one of several events: the transaction is then rolled back, and each
    submission tried alone.
    """
    accepted = [new.get(row.id) or earlier[row.id] for row in rows]
    reused = next((at for at, each in enumerate(accepted) if each is None), None)
    if reused is None:
        return [each for each in accepted if each is not None]
    if len(rows) > 1:
        raise KeyReused(reused)
    return KeyReused()


def _complete(connection: WriteConnection, batch_id: str, outcome: SubmissionResult) -> None:
    if isinstance(outcome, Exception):  # a batch of one, whose event's own key was used for another
        raise KeyReused(0)
    batch_keys.complete(connection, batch_id, outcome)


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
            key := event.idempotency_key or submission.idempotency_key,
            request_hash.of_event(event.type, event.data) if key is not None else None,
            event.values,
        )
        for event_id, event in zip(ids.several("evt", len(submission.events)), submission.events, strict=True)
    ]


def _accepted_before(connection: Connection, rows: Sequence[NewEventRow]) -> Mapping[str, Accepted | None]:
    """Return the events that have the rows' keys, by the rows' ids; None for what is another event."""
    if not rows:
        return {}
    stored = connection.execute(
        select(Event.workspace_id, Event.idempotency_key, Event.id, Event.request_hash, Event.body)
        .where(Event.workspace_id.in_({row.workspace_id for row in rows}))
        .where(Event.idempotency_key.in_({row.idempotency_key for row in rows}))
    ).all()
    by_key = {(each.workspace_id, each.idempotency_key): each for each in stored}
    if any((row.workspace_id, row.idempotency_key) not in by_key for row in rows):
        raise KeyFreed
    found = {row.id: by_key[row.workspace_id, row.idempotency_key] for row in rows}
    same = {row.id: found[row.id] for row in rows if _is_repeat(found[row.id], row)}
    counts = _delivery_counts(connection, {each.id for each in same.values()})
    return {
        row.id: Accepted(same[row.id].id, counts[same[row.id].id], is_repeat=True) if row.id in same else None
        for row in rows
    }


def _is_repeat(earlier: Row[*tuple[Any, ...]], row: NewEventRow) -> bool:
    return request_hash.is_repeat(
        earlier.request_hash, earlier.body, sent_hash=row.request_hash, sent_body=row.body
    )


def _delivery_counts(connection: Connection, event_ids: Collection[str]) -> Mapping[str, int]:
    """Return how many deliveries each event has, or still gets."""
    counted = select(Delivery.event_id, func.count().label("number")).where(of_events(event_ids))
    rows = connection.execute(counted.group_by(Delivery.event_id)).all()
    inserted = {row.event_id: row.number for row in rows}
    remaining = fan_out_runs.remaining(connection, event_ids)
    return {each: inserted.get(each, 0) + remaining[each] for each in event_ids}
