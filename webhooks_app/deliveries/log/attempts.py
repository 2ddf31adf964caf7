"""A delivery's attempts with where their time went, and its payload."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import LargeBinary, and_, func, select, type_coerce
from sqlalchemy.orm import Session

from webhooks_app.core import ids
from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, OutcomeDescription
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db import attempt_heads, event_bodies
from webhooks_app.db.models import Attempt, Delivery, Event
from webhooks_app.deliveries.log.rows import response_label

# A delivery may be replayed without end; its page and its raw JSON show so many attempts.
NEWEST_ATTEMPTS = 50
# In an opened row; the delivery's own page shows all of it.
PAYLOAD_SHOWN_BYTES = 8 * 1024

_LAST_PHASES = {
    OutcomeClass.DNS: "DNS",
    OutcomeClass.BLOCKED: "Connect",
    OutcomeClass.CONNECT: "Connect",
    OutcomeClass.TLS: "TLS",
}

_COLUMNS: Any = (
    Attempt.delivery_id,
    Attempt.generation,
    Attempt.started_at,
    Attempt.outcome,
    Attempt.detail,
    Attempt.status,
    Attempt.dns_us,
    Attempt.connect_us,
    Attempt.tls_us,
    Attempt.first_byte_us,
    Attempt.total_us,
    Attempt.remote_address,
    Attempt.is_manual,
)
_CONTENT_COLUMNS: Any = (
    Attempt.plain_request_headers,
    Attempt.plain_response_headers,
    Attempt.packed_heads,
    Attempt.constant_headers,
    Attempt.response_body,
    Attempt.response_truncated,
)


class Phase(NamedTuple):
    name: str
    ms: float


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """One attempt; `number` counts from 1. Without `full`, headers and bodies are not read.

    `is_manual` says that a person asked for it, beside the schedule. `target` is where the request went, by
    the names that HTTP/2 has for it; empty for one of the previous version. `is_damaged` says that what is
    stored of its headers cannot be read, or not all of it.
    """

    number: int
    id: str
    started_at: datetime
    outcome: OutcomeClass
    detail: str
    status: int | None
    phases: tuple[Phase, ...]
    total_ms: float
    remote_address: str
    is_manual: bool = False
    target: Mapping[str, str] = field(default_factory=dict)
    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: bytes = b""
    response_body: bytes = b""
    is_truncated: bool = False
    is_damaged: bool = False

    @property
    def outcome_description(self) -> OutcomeDescription:
        return DESCRIPTIONS[self.outcome]

    @property
    def request_line(self) -> str:
        """Method and path as sent, with a mask over what would give access; empty where it is not known."""
        return f"{self.target[':method']} {self.target[':path']}" if self.target else ""

    @property
    def is_success(self) -> bool:
        return self.outcome is OutcomeClass.SUCCESS

    @property
    def is_unanswered(self) -> bool:
        """Whether it ended in its last phase, without an answer."""
        return not self.is_success and not self.outcome.value.startswith("http_")

    @property
    def response(self) -> str:
        return response_label(self.outcome, self.status)


def read_attempts(
    session: Session, delivery_id: str, attempt_count: int, *, full: bool, limit: int = NEWEST_ATTEMPTS
) -> list[LoggedAttempt]:
    """Return the newest attempts, newest first, `limit` at most."""
    columns = [*_COLUMNS, *_CONTENT_COLUMNS] if full else _COLUMNS
    rows = session.execute(
        select(*columns)
        .where(Attempt.delivery_id == delivery_id)
        .order_by(Attempt.generation.desc())
        .limit(limit)
    ).all()
    newest = max(attempt_count, len(rows))
    return [_logged_attempt(row, newest - position, full) for position, row in enumerate(rows)]


def read_last_details(session: Session, delivery_ids: Sequence[str]) -> dict[str, str]:
    """Return the details of the last attempts, by their deliveries' ids, of those that have any."""
    if not delivery_ids:
        return {}
    is_last = and_(Attempt.delivery_id == Delivery.id, Attempt.generation == Delivery.generation)
    rows = session.execute(
        select(Delivery.id, Attempt.detail).join(Attempt, is_last).where(Delivery.id.in_(delivery_ids))
    )
    return {row.id: row.detail for row in rows if row.detail}


def read_payload(session: Session, event_id: str, *, limit: int | None = None) -> tuple[bytes, int]:
    """Return the payload's first `limit` bytes, and its size; both are nothing where it is damaged."""
    stored = type_coerce(Event.body, LargeBinary)
    # Packed, it is no larger than that, and read whole.
    part = func.substr(stored, 1, max(limit, event_bodies.LARGEST)) if limit else stored
    row = session.execute(select(part, func.length(stored)).where(Event.id == event_id)).one()
    read = bytes(row[0] or b"")  # SQLite has NULL for a part of nothing
    body = event_bodies.of_event(event_id, event_bodies.read(read, is_part=len(read) < row[1]))
    return body[:limit], row[1] if body and not event_bodies.is_packed(read) else len(body)


def _logged_attempt(row: Any, number: int, full: bool) -> LoggedAttempt:
    outcome = OutcomeClass(row.outcome)
    rest: dict[str, Any] = {}
    if full:
        heads = attempt_heads.read(row)
        logged = _parse_headers(heads.request)
        rest = {
            "target": {name: value for name, value in logged or () if name.startswith(":")},
            "request_headers": tuple(header for header in logged or () if not header[0].startswith(":")),
            "response_headers": heads.response,
            "response_body": bytes(row.response_body or b""),
            "is_truncated": row.response_truncated,
            "is_damaged": heads.is_damaged or logged is None,
        }
    return LoggedAttempt(
        number=number,
        id=ids.attempt_id(row.delivery_id, row.generation),
        started_at=row.started_at,
        outcome=outcome,
        detail=row.detail or "",
        status=row.status,
        phases=phases(row, outcome),
        total_ms=row.total_us / 1000,
        remote_address=row.remote_address or "",
        is_manual=row.is_manual,
        **rest,
    )


def _parse_headers(request_headers: str) -> list[tuple[str, str]] | None:
    """Return the headers of a request; None where they are damaged although they could be unpacked."""
    try:
        return [(str(name), str(value)) for name, value in json.loads(request_headers)]
    except (ValueError, TypeError):
        return None


def phases(timings: Any, outcome: OutcomeClass) -> tuple[Phase, ...]:
    """Return how long each phase took, from the microseconds after the start at which each ended (0: none).

    The time behind the last one is the download or, without an answer, the phase that the attempt ended in.
    """
    # Without a status line, libcurl's first byte is none of a response.
    first_byte_us = timings.first_byte_us if timings.status else 0
    ends = (
        ("DNS", timings.dns_us),
        ("Connect", timings.connect_us),
        ("TLS", timings.tls_us),
        ("Wait", first_byte_us),
    )
    ended, last_end_us = [], 0
    for name, end_us in ends:
        if end_us > last_end_us:
            ended.append(Phase(name, (end_us - last_end_us) / 1000))
            last_end_us = end_us
    if timings.total_us > last_end_us:
        last = "Download" if first_byte_us else _last_phase(timings, outcome)
        ended.append(Phase(last, (timings.total_us - last_end_us) / 1000))
    return tuple(ended)


def _last_phase(timings: Any, outcome: OutcomeClass) -> str:
    if outcome in _LAST_PHASES:
        return _LAST_PHASES[outcome]
    if timings.connect_us or timings.remote_address:
        return "Wait"
    return "Connect" if timings.dns_us else "DNS"
