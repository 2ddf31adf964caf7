"""Idempotency keys of whole batches: under a used one nothing is stored, and the answer is the same."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from webhooks_app.core import ids
from webhooks_app.db import upsert
from webhooks_app.db.models import AcceptedBatch
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.events import request_hash
from webhooks_app.events.submissions import Accepted, KeyReused, Submission, SubmissionResult


@dataclass(frozen=True, slots=True)
class BatchReservations:
    """What was found under the keys of several submissions, by the submissions' positions.

    `earlier` are the outcomes of those whose keys were used before; `new` the rows of those that are to be
    stored, to be completed with what became of their events. `repeats` are those that come together with the
    same batch; each has its position, which is before theirs.
    """

    earlier: Mapping[int, SubmissionResult]
    new: Mapping[int, str]
    repeats: Mapping[int, int]

    def stores(self, at: int) -> bool:
        """Return whether the events of that submission are to be stored."""
        return at not in self.earlier and at not in self.repeats


def batch_rows(submissions: Sequence[Submission], now: datetime) -> dict[int, Mapping[str, Any]]:
    """Return the rows of those submissions that have a batch key, by their positions.

    To be called before the transaction, as a large batch takes tens of milliseconds.
    """
    return {
        at: {
            "id": ids.new("bat"),
            "workspace_id": each.workspace_id,
            "idempotency_key": each.batch_key,
            "request_hash": _digest(each),
            "events": [],
            "created_at": now,
        }
        for at, each in enumerate(submissions)
        if each.batch_key
    }


def reserve(connection: WriteConnection, rows: Mapping[int, Mapping[str, Any]]) -> BatchReservations:
    """Take the keys of `batch_rows`, in one order, so that two transactions do not wait for each other."""
    earlier: dict[int, SubmissionResult] = {}
    new: dict[int, str] = {}
    repeats: dict[int, int] = {}
    first: dict[tuple[str, str], int] = {}
    for at in sorted(rows, key=lambda at: _key(rows[at])):
        row = rows[at]
        if (same := first.get(_key(row))) is not None:
            if row["request_hash"] == rows[same]["request_hash"]:
                repeats[at] = same
            else:
                earlier[at] = KeyReused()
        elif (outcome := _earlier_or_inserted(connection, row)) is not None:
            earlier[at] = outcome
        else:
            new[at] = row["id"]
            first[_key(row)] = at
    return BatchReservations(earlier, new, repeats)


def repeat(outcome: SubmissionResult) -> SubmissionResult:
    """Return what a repeat of a batch is answered that came to `outcome`. Pure."""
    if isinstance(outcome, Exception):
        return outcome
    return [replace(each, is_repeat=True) for each in outcome]


def complete(connection: WriteConnection, batch_id: str, accepted: Sequence[Accepted]) -> None:
    """Store the answer to repeats of the batch, in the transaction that reserved its key."""
    events = [[each.id, each.deliveries] for each in accepted]
    connection.execute(update(AcceptedBatch).where(AcceptedBatch.id == batch_id).values(events=events))


def _earlier_or_inserted(connection: WriteConnection, row: Mapping[str, Any]) -> SubmissionResult | None:
    """Return what the row's key was used for before; insert the row where it was not, and return None."""
    while not upsert.insert_if_new(connection, AcceptedBatch, row):
        if (outcome := _earlier(connection, row)) is not None:  # else retention deleted it just now
            return outcome
    return None


def _earlier(connection: Connection, row: Mapping[str, Any]) -> SubmissionResult | None:
    earlier = connection.execute(
        select(AcceptedBatch.request_hash, AcceptedBatch.events)
        .where(AcceptedBatch.workspace_id == row["workspace_id"])
        .where(AcceptedBatch.idempotency_key == row["idempotency_key"])
    ).one_or_none()
    if earlier is None:
        return None
    if earlier.request_hash != row["request_hash"]:
        return KeyReused()
    return [Accepted(event_id, deliveries, is_repeat=True) for event_id, deliveries in earlier.events]


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["workspace_id"], row["idempotency_key"]


def _digest(submission: Submission) -> str:
    hashed = hashlib.sha256()
    for event in submission.events:
        digest = request_hash.exact_hash(event.type, event.data, event.raw_data)
        hashed.update(f"{digest} {event.idempotency_key or ''}\n".encode())
    return hashed.hexdigest()
