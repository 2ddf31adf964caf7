"""Erasing the payloads that their workspace keeps no longer, while the log stays.

It walks the events from where the last run came to, in the batches of retention. An event with deliveries
that are pending, held or finished only lately is skipped, recorded in `late_payloads`, and tried again by
each run.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete, or_, select, update

from webhooks_app.core import ids
from webhooks_app.db import moment_index
from webhooks_app.db.models import Event, LatePayload, Workspace
from webhooks_app.db.upsert import insert_rows_if_new
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.retention_batches import BatchRunner

# As the log does, a payload counts from when its last delivery was finished. Most are within minutes of being
# accepted, which need not be noted.
_FINISHED_LATE = timedelta(hours=1)


class FinishedErasures:
    """Events that were erased before their time, by workspace, of whose payload no row has anything any more.

    Their notes stay until PostgreSQL's statistics and the file beside an SQLite database have nothing
    of them, either.
    """

    def __init__(self) -> None:
        self._named: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._named)

    def add(self, workspace_id: str, event_ids: Sequence[str]) -> None:
        self._named.setdefault(workspace_id, []).extend(event_ids)

    def drop_notes(self, batches: BatchRunner) -> None:
        """Have the next runs look at them no more."""
        for workspace_id, named in self._named.items():
            batches.apply_in_pieces(partial(_drop_notes, workspace_id=workspace_id), named)


def expire(batches: BatchRunner, workspace: Workspace, finished: FinishedErasures, *, now: datetime) -> int:
    """Erase what the workspace keeps no longer; return how many events' payloads.

    What was erased before its time, and is so to its end now, is added to `finished`.
    """
    if payload_rows.erasure_blocked_until(batches.databases.read, now=now):
        return 0
    _finish_erasures(batches, workspace.id, finished)
    before = now - timedelta(days=workspace.kept_payload_days)
    count = _erase_late(batches, workspace.id, before, now)
    if workspace.kept_payload_days == workspace.retention_days:
        return count  # the log takes them along
    old = select(Event.id).where(
        moment_index.found_by((Event.workspace_id, workspace.id)),
        moment_index.above(Event.id, workspace.payloads_erased_to or ""),
        moment_index.below(Event.id, ids.floor("evt", before)),
    )
    for batch in batches.read(old, Event.id, by_moments=True):
        named = [row.id for row in batch]
        finished_before = before + _FINISHED_LATE
        if _erase_attempts(batches, named, finished_before) is not None:
            erase = partial(_erase_next, workspace_id=workspace.id, before=finished_before, now=now)
            count += batches.apply(erase, named)
    return count


def _drop_notes(connection: WriteConnection, named: Sequence[str], /, *, workspace_id: str) -> int:
    noted = LatePayload.workspace_id == workspace_id, LatePayload.event_id.in_(named)
    return connection.execute(delete(LatePayload).where(*noted)).rowcount


def _finish_erasures(batches: BatchRunner, workspace_id: str, finished: FinishedErasures) -> None:
    """Erase what is left of events that were erased before their time, whoever did it."""
    erased = (
        select(LatePayload.event_id)
        .join(Event, Event.id == LatePayload.event_id)
        .where(LatePayload.workspace_id == workspace_id, Event.payload_erased_at.is_not(None))
    )
    for batch in batches.read(erased, LatePayload.event_id):
        named = [row.event_id for row in batch]
        for chunk in batches.deliveries_of(named):
            batches.apply_in_pieces(payload_rows.erase_attempts, chunk)
        if not batches.should_stop:
            finished.add(workspace_id, named)


def _erase_late(batches: BatchRunner, workspace_id: str, before: datetime, now: datetime) -> int:
    count = 0
    # What was erased before its time is for `_finish_erasures`; of some the log has taken the event along.
    late = (
        select(LatePayload.event_id)
        .join(Event, Event.id == LatePayload.event_id, isouter=True)
        .where(
            LatePayload.workspace_id == workspace_id,
            LatePayload.event_id < ids.floor("evt", before),
            Event.payload_erased_at.is_(None),
        )
    )
    for batch in batches.read(late, LatePayload.event_id):
        named = [row.event_id for row in batch]
        if finished := _erase_attempts(batches, named, before):
            erase = partial(_erase_noted, workspace_id=workspace_id, before=before, now=now)
            count += batches.apply(erase, finished)
    return count


def _erase_attempts(batches: BatchRunner, event_ids: Sequence[str], before: datetime) -> list[str] | None:
    """Erase the attempts of the events that were finished before; return these, None if told to stop.

    They go before the bodies, so that a run that is killed between the two leaves nothing behind.
    """
    with batches.databases.read.connect() as connection:
        open_ones = payload_rows.unfinished(connection, event_ids, finished_before=before)
    finished = [each for each in event_ids if each not in open_ones]
    for chunk in batches.deliveries_of(finished):
        batches.apply_in_pieces(payload_rows.erase_attempts, chunk)
    return None if batches.should_stop else finished


def _erase_next(
    connection: WriteConnection,
    named: Sequence[str],
    /,
    *,
    workspace_id: str,
    before: datetime,
    now: datetime,
) -> int:
    count = payload_rows.erase_finished(connection, named, finished_before=before, now=now)
    left = select(Event.id).where(Event.id.in_(named), Event.payload_erased_at.is_(None))
    rows = [{"workspace_id": workspace_id, "event_id": each} for each in connection.scalars(left)]
    insert_rows_if_new(connection, LatePayload, rows)
    position = Workspace.payloads_erased_to
    behind = update(Workspace).where(
        Workspace.id == workspace_id, or_(position.is_(None), position < named[-1])
    )
    connection.execute(behind.values(payloads_erased_to=named[-1]))
    return count


def _erase_noted(
    connection: WriteConnection,
    named: Sequence[str],
    /,
    *,
    workspace_id: str,
    before: datetime,
    now: datetime,
) -> int:
    count = payload_rows.erase_finished(connection, named, finished_before=before, now=now)
    # Not those that somebody has erased meanwhile, of which copies may be left.
    is_of_others = Event.payload_erased_at.is_distinct_from(now)
    kept = select(Event.id).where(Event.id == LatePayload.event_id, is_of_others)
    noted = delete(LatePayload).where(
        LatePayload.workspace_id == workspace_id, LatePayload.event_id.in_(named)
    )
    connection.execute(noted.where(~kept.correlate(LatePayload).exists()))
    return count
