"""Accepting events: one transaction for the event and its deliveries, then a wake-up."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, insert, select

from webhooks_app.core import clock, failpoints, ids, json_parsing
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, Event
from webhooks_app.events import fan_out
from webhooks_app.jobs.wake_ups import WakeUps

# Built once: building it takes longer than running it.
_INSERT_EVENTS = insert(Event)


@dataclass(slots=True, frozen=True)
class NewEvent:
    """What a producer hands over; `data` fulfils the schema of `type`, `raw_data` is its JSON as written."""

    type: str
    data: dict[str, Any]
    raw_data: bytes

    @classmethod
    def of(cls, type: str, data: dict[str, Any]) -> Self:
        """Return an event whose data this process writes as JSON, without space."""
        raw_data = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return cls(type, data, raw_data)


@dataclass(slots=True, frozen=True)
class Accepted:
    """The event's id, and how many deliveries it has."""

    id: str
    deliveries: int


class KeyReused(Exception):
    """The idempotency key belongs to an event with another type or data."""


def accept_events(
    database: WriteDatabase,
    wake_ups: WakeUps,
    workspace_id: str,
    events: Sequence[NewEvent],
    *,
    idempotency_key: str | None = None,
) -> list[Accepted]:
    """Store the events with a delivery for each subscribed endpoint. Raises KeyReused.

    When this returns, all of them are committed and the workers have been woken, if Redis answered. An
    idempotency key goes with a single event; where it was used before, nothing is stored and the earlier
    event is returned.
    """
    now = clock.now()
    rows = [event_row(workspace_id, event, idempotency_key, now) for event in events]
    with database.begin() as connection:
        if idempotency_key is not None and not upsert.insert_if_new(connection, Event, rows[0]):
            return [_accepted_before(connection, rows[0])]
        if idempotency_key is None:
            connection.execute(_INSERT_EVENTS, rows)
        fanned_out = fan_out.fan_out(connection, rows, now)
        failpoints.hit("accept.committing")
    failpoints.hit("accept.committed")
    if fanned_out.is_due:
        wake_ups.wake_worker()
    return [Accepted(row["id"], fanned_out.deliveries[row["id"]]) for row in rows]


def envelope(*, event_id: str, event_type: str, workspace_id: str, raw_data: bytes, now: datetime) -> bytes:
    """Return the request body of an event's deliveries, in UTF-8; `raw_data` stands in it as it is."""
    # None of the other values holds anything that JSON would escape: ids, a name of the catalog, a moment.
    head = (
        f'{{"id":"{event_id}","type":"{event_type}","timestamp":"{clock.format_rfc3339(now)}",'
        f'"workspace_id":"{workspace_id}","data":'
    )
    return b"%b%b}" % (head.encode(), raw_data)


def event_row(
    workspace_id: str, event: NewEvent, idempotency_key: str | None, now: datetime
) -> dict[str, Any]:
    """Return the event as a row of `events`, with a new id."""
    event_id = ids.new("evt")
    body = envelope(
        event_id=event_id,
        event_type=event.type,
        workspace_id=workspace_id,
        raw_data=event.raw_data,
        now=now,
    )
    return {
        "id": event_id,
        "workspace_id": workspace_id,
        "type": event.type,
        "body": body,
        "idempotency_key": idempotency_key,
        "request_hash": _request_hash(event) if idempotency_key is not None else None,
        "created_at": now,
    }


def _request_hash(event: NewEvent) -> str:
    """Return what tells one request under an idempotency key from another: SHA-256, in hexadecimal.

    It takes numbers as floats, as the code before did whose hashes stand in the table; `_has_same_numbers`
    tells apart what floats do not.
    """
    return hashlib.sha256(json.dumps([event.type, event.data], sort_keys=True).encode()).hexdigest()


def _accepted_before(connection: Connection, row: dict[str, Any]) -> Accepted:
    earlier = connection.execute(
        select(Event.id, Event.request_hash, Event.body)
        .where(Event.workspace_id == row["workspace_id"])
        .where(Event.idempotency_key == row["idempotency_key"])
    ).one()
    if earlier.request_hash != row["request_hash"] or not _has_same_numbers(earlier.body, row["body"]):
        raise KeyReused
    deliveries = connection.execute(select(Delivery.id).where(Delivery.event_id == earlier.id)).all()
    return Accepted(earlier.id, len(deliveries))


def _has_same_numbers(earlier: bytes, sent: bytes) -> bool:
    """Tell whether two envelopes with the same hash hold the same data, to the last digit.

    What was stored before numbers were kept as written is compared with what it was made of: floats.
    """
    before, now = json_parsing.data_as_sent(earlier), json_parsing.data_as_sent(sent)
    if before == now:
        return True
    parse = json_parsing.parse_to_the_digit
    return parse(before) in (parse(now), parse(json.dumps(json.loads(now)).encode()))
