"""Recording: what came of a batch of attempts, in one transaction and a fixed number of statements."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from webhooks_app.accounts.audit import Actor
from webhooks_app.core import failpoints
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import bulk_sql
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Attempt, DeliveryState, NoticeKind
from webhooks_app.db.models.base import microseconds
from webhooks_app.endpoints import actions, notices
from webhooks_app.worker import endpoint_counters, rate_limits
from webhooks_app.worker.claims import Claim, Key
from webhooks_app.worker.retry_decision import RetryDecision, decide, pause

GONE_REASON = "The endpoint answered 410 Gone."


@dataclass(slots=True, frozen=True)
class Finished:
    """One attempt: what was claimed, when it was sent, with which headers, and what came back."""

    claim: Claim
    started_at: datetime
    request_headers: str
    outcome: Outcome


_FIELDS = {
    "id": "text",
    "generation": "int",
    "state": "text",
    "next_at": "timestamptz",
    "started_at": "timestamptz",
    "outcome": "text",
    "status": "int",
    "duration_ms": "int",
    "finished_at": "timestamptz",
}
_LEAVE = bulk_sql.prepare(
    """
    DELETE FROM pending_deliveries
    WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows})
    RETURNING delivery_id, generation
    """,
    _FIELDS,
)
_STAY = bulk_sql.prepare(
    """
    UPDATE pending_deliveries SET
        next_attempt_at = r.next_at, claimed_at = NULL, tries = tries + 1, lapses = 0
    FROM {rows} WHERE delivery_id = r.id AND pending_deliveries.generation = r.generation
    RETURNING delivery_id, pending_deliveries.generation
    """,
    _FIELDS,
)
_LOG_TEXT = """
    UPDATE deliveries SET
        state = r.state, next_attempt_at = r.next_at,
        generation = {greatest}(deliveries.generation, r.generation),
        attempt_count = attempt_count + 1, tries = tries + 1, last_attempt_at = r.started_at,
        last_outcome = r.outcome, last_status = r.status, last_duration_ms = r.duration_ms,
        finished_at = r.finished_at
    FROM {rows} WHERE deliveries.id = r.id
"""
_LOG = bulk_sql.prepare(_LOG_TEXT, _FIELDS)
# A claim that was overtaken may still bring a success, and a success counts.
_LOG_LATE = bulk_sql.prepare(
    _LOG_TEXT + " AND deliveries.state <> 'delivered' RETURNING deliveries.id", _FIELDS
)
_FORGET = bulk_sql.prepare(
    """
    DELETE FROM pending_deliveries WHERE delivery_id IN (SELECT r.id FROM {rows})
    RETURNING delivery_id, generation
    """,
    _FIELDS,
)


def record(
    database: WriteDatabase,
    batch: list[Finished],
    *,
    delays: tuple[float, ...],
    now: datetime,
    is_again: bool = False,
) -> list[datetime]:
    """Writes the batch; the moments at which retries fall due. Outcomes of stale claims are dropped.

    `is_again`: an earlier try ended in an error, after which all of it may be written or nothing.
    """
    with database.begin() as connection:
        if is_again:
            batch = _unwritten(connection, batch)
        verdicts = [
            decide(item.outcome, tries=item.claim.tries + 1, delays=delays, chance=random.random(), now=now)
            for item in batch
        ]
        written = _write_deliveries(connection, batch, verdicts, now)
        failpoints.hit("worker.half_recorded")
        kept = [item for item in batch if item.claim.key in written]
        if kept:
            _add_attempts(connection, kept)
            tried = [(item.claim.endpoint_id, item.started_at, item.outcome) for item in kept]
            endpoint_counters.add_health(connection, tried)
            endpoint_counters.add_rollups(connection, tried)
            rate_limits.pause_endpoints(connection, _pauses(kept, now))
            _disable_gone(connection, kept, now)
    return [
        verdict.next_attempt_at
        for item, verdict in zip(batch, verdicts, strict=True)
        if verdict.next_attempt_at is not None and item.claim.key in written
    ]


_WRITTEN = bulk_sql.prepare(
    """
    SELECT delivery_id, generation FROM attempts
    WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows})
    """,
    {"id": "text", "generation": "int"},
)


def _unwritten(connection: Connection, batch: list[Finished]) -> list[Finished]:
    keys = [{"id": item.claim.delivery_id, "generation": item.claim.generation} for item in batch]
    written = _keys(bulk_sql.run(connection, _WRITTEN, keys))
    return [item for item in batch if item.claim.key not in written]


def _write_deliveries(
    connection: Connection, batch: list[Finished], verdicts: list[RetryDecision], now: datetime
) -> set[Key]:
    """The claims whose outcomes were written."""
    moment = bulk_sql.moments(connection)
    all_rows = [
        _delivery_row(item, verdict, now, moment) for item, verdict in zip(batch, verdicts, strict=True)
    ]
    staying = [row for row in all_rows if row["state"] == "pending"]
    leaving = [row for row in all_rows if row["state"] != "pending"]
    current: set[Key] = set()
    for statement, some in ((_LEAVE, leaving), (_STAY, staying)):
        if some:
            current |= _keys(bulk_sql.run(connection, statement, some))
    logged = [row for row in all_rows if _key(row) in current]
    if logged:
        bulk_sql.run(connection, _LOG, logged)
    late = {row["id"]: row for row in leaving if _key(row) not in current and row["state"] == "delivered"}
    return current | _write_late(connection, list(late.values()))


def _write_late(connection: Connection, late: list[dict[str, Any]]) -> set[Key]:
    if not late:
        return set()
    # Of what is delivered already, nothing is queued.
    newest = {row.delivery_id: row.generation for row in bulk_sql.run(connection, _FORGET, late)}
    # The claim that overtook this one may be in flight, and must stay stale when the delivery is replayed.
    current = [row | {"generation": newest.get(row["id"], row["generation"])} for row in late]
    counted = set(bulk_sql.run(connection, _LOG_LATE, current).scalars())
    return {_key(row) for row in late if row["id"] in counted}


def _key(row: dict[str, Any]) -> Key:
    return row["id"], row["generation"]


def _keys(result: Iterable[Any]) -> set[Key]:
    return {(delivery_id, generation) for delivery_id, generation in result}


def _delivery_row(item: Finished, verdict: RetryDecision, now: datetime, moment: Any) -> dict[str, Any]:
    next_at = verdict.next_attempt_at
    return {
        "id": item.claim.delivery_id,
        "generation": item.claim.generation,
        "state": verdict.state.value,
        "next_at": moment(next_at) if next_at else None,
        "started_at": moment(item.started_at),
        "outcome": item.outcome.kind.value,
        "status": item.outcome.status or None,
        "duration_ms": item.outcome.timings.total_us // 1000,
        "finished_at": None if verdict.state is DeliveryState.PENDING else moment(now),
    }


_ATTEMPT_COLUMNS = tuple(column.name for column in Attempt.__table__.columns)
_COPY = f"COPY attempts ({', '.join(_ATTEMPT_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_COPY_TYPES = (
    "text int4 timestamptz text text int4 int4 int4 int4 int4 int4 text text bytea bytea bool"
).split()
_INSERT = (
    f"INSERT INTO attempts ({', '.join(_ATTEMPT_COLUMNS)}) VALUES ({', '.join('?' * len(_ATTEMPT_COLUMNS))})"
)


def _add_attempts(connection: Connection, kept: list[Finished]) -> None:
    """The widest rows by far, so they take each driver's fastest way in."""
    driver: Any = connection.connection.driver_connection
    try:
        if connection.dialect.name == "sqlite":
            driver.executemany(_INSERT, [_attempt(item, microseconds(item.started_at)) for item in kept])
        else:
            _copy(driver, kept)
    except connection.dialect.loaded_dbapi.Error as error:  # as SQLAlchemy would have it
        base = connection.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(_COPY, None, error, base, dialect=connection.dialect) from error


def _copy(driver: Any, kept: list[Finished]) -> None:
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_COPY_TYPES)
        for item in kept:
            copy.write_row(_attempt(item, item.started_at))


def _attempt(item: Finished, started_at: Any) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    outcome, timings = item.outcome, item.outcome.timings
    return (
        item.claim.delivery_id,
        item.claim.generation,
        started_at,
        outcome.kind.value,
        outcome.detail or None,
        outcome.status or None,
        timings.dns_us,
        timings.connect_us,
        timings.tls_us,
        timings.first_byte_us,
        timings.total_us,
        outcome.remote_address or None,
        item.request_headers,
        outcome.response_headers or None,
        outcome.response_body or None,
        outcome.truncated,
    )


def _pauses(kept: list[Finished], now: datetime) -> dict[str, datetime]:
    return {
        item.claim.endpoint_id: until
        for item in kept
        if item.outcome.retry_after and (until := pause(item.outcome, now=now))
    }


def _disable_gone(connection: Connection, kept: list[Finished], now: datetime) -> None:
    gone = {item.claim.endpoint_id for item in kept if item.outcome.kind is OutcomeClass.HTTP_410}
    for endpoint_id in sorted(gone):
        if actions.disable_in_transaction(
            connection, endpoint_id, reason=GONE_REASON, actor=Actor("delivery"), now=now
        ):
            notices.add(connection, endpoint_id, NoticeKind.GONE, streak_at=now, now=now)
