"""Recording: what came of a batch of attempts, in one transaction and a fixed number of statements."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, case, func, text
from sqlalchemy.dialects import postgresql, sqlite

from webhooks_app import endpoints, failpoints, notices
from webhooks_app.audit import Actor
from webhooks_app.delivery.claims import Claim
from webhooks_app.delivery.verdicts import Verdict, reach
from webhooks_app.models import Attempt, AttemptRollup, DeliveryState, EndpointHealth, NoticeKind
from webhooks_app.models.base import microseconds
from webhooks_app.outcomes import Outcome, OutcomeClass, latency_bucket

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
_ROWS = {
    "postgresql": "jsonb_to_recordset(CAST(:rows AS jsonb)) AS r ("
    + ", ".join(f"{name} {kind}" for name, kind in _FIELDS.items())
    + ")",
    "sqlite": "(SELECT "
    + ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _FIELDS)
    + " FROM json_each(:rows)) AS r",
}
_LEAVE = """
    DELETE FROM pending_deliveries
    WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows}) RETURNING delivery_id
"""
_STAY = """
    UPDATE pending_deliveries SET
        next_attempt_at = r.next_at, claimed_at = NULL, tries = tries + 1, lapses = 0
    FROM {rows} WHERE delivery_id = r.id AND pending_deliveries.generation = r.generation
    RETURNING delivery_id
"""
_LOG = """
    UPDATE deliveries SET
        state = r.state, next_attempt_at = r.next_at,
        generation = {greatest}(deliveries.generation, r.generation),
        attempt_count = attempt_count + 1, tries = tries + 1, last_attempt_at = r.started_at,
        last_outcome = r.outcome, last_status = r.status, last_duration_ms = r.duration_ms,
        finished_at = r.finished_at
    FROM {rows} WHERE deliveries.id = r.id
"""
# A claim that was overtaken may still bring a success, and a success counts.
_LOG_LATE = _LOG + " AND deliveries.state <> 'delivered' RETURNING deliveries.id"
_FORGET = """
    DELETE FROM pending_deliveries WHERE delivery_id IN (SELECT r.id FROM {rows})
    RETURNING delivery_id, generation
"""
_GREATEST = {"postgresql": "greatest", "sqlite": "max"}


def _run(connection: Connection, statement: str, rows: list[dict[str, Any]]) -> CursorResult[Any]:
    """The statement over all rows at once, which travel as one JSON value."""
    dialect = connection.dialect.name
    return connection.execute(_PREPARED[dialect, statement], {"rows": _as_json(rows)})


_as_json = json.JSONEncoder(separators=(",", ":")).encode
_PREPARED = {
    (dialect, statement): text(statement.format(rows=source, greatest=_GREATEST[dialect]))
    for dialect, source in _ROWS.items()
    for statement in (_LEAVE, _STAY, _LOG, _LOG_LATE, _FORGET)
}


def record(
    engine: Engine, batch: list[Finished], *, delays: tuple[float, ...], now: datetime
) -> list[datetime]:
    """Writes the batch; the moments at which retries fall due. Outcomes of stale claims are dropped."""
    verdicts = [
        reach(item.outcome, tries=item.claim.tries + 1, delays=delays, chance=random.random(), now=now)
        for item in batch
    ]
    with engine.begin() as connection:
        written = _write_deliveries(connection, batch, verdicts, now)
        failpoints.hit("worker.half_recorded")
        kept = [item for item in batch if item.claim.delivery_id in written]
        if kept:
            _add_attempts(connection, kept)
            _add_health(connection, kept)
            _add_rollups(connection, kept)
            _disable_gone(connection, kept, now)
    return [
        verdict.next_attempt_at
        for item, verdict in zip(batch, verdicts, strict=True)
        if verdict.next_attempt_at is not None and item.claim.delivery_id in written
    ]


def _write_deliveries(
    connection: Connection, batch: list[Finished], verdicts: list[Verdict], now: datetime
) -> set[str]:
    """The ids of the deliveries that the outcomes were written to."""
    moment = microseconds if connection.dialect.name == "sqlite" else datetime.isoformat
    rows = [_delivery_row(item, verdict, now, moment) for item, verdict in zip(batch, verdicts, strict=True)]
    staying = [row for row in rows if row["state"] == "pending"]
    leaving = [row for row in rows if row["state"] != "pending"]
    current: set[str] = set()
    for statement, some in ((_LEAVE, leaving), (_STAY, staying)):
        if some:
            current.update(_run(connection, statement, some).scalars())
    logged = [row for row in rows if row["id"] in current]
    if logged:
        _run(connection, _LOG, logged)
    late = [row for row in leaving if row["id"] not in current and row["state"] == "delivered"]
    return current | _write_late(connection, late)


def _write_late(connection: Connection, late: list[dict[str, Any]]) -> set[str]:
    if not late:
        return set()
    # Of what is delivered already, nothing is queued.
    newest = {row.delivery_id: row.generation for row in _run(connection, _FORGET, late)}
    # The claim that overtook this one may be in flight, and must stay stale when the delivery is replayed.
    rows = [row | {"generation": newest.get(row["id"], row["generation"])} for row in late]
    return set(_run(connection, _LOG_LATE, rows).scalars())


def _delivery_row(item: Finished, verdict: Verdict, now: datetime, moment: Any) -> dict[str, Any]:
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
    if connection.dialect.name == "sqlite":
        driver.executemany(_INSERT, [_attempt(item, microseconds(item.started_at)) for item in kept])
        return
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


def _add_health(connection: Connection, kept: list[Finished]) -> None:
    """One row per endpoint, sorted, so that two workers never wait for each other crosswise."""
    health: dict[str, dict[str, Any]] = {}
    for item in sorted(kept, key=lambda item: (item.claim.endpoint_id, item.started_at)):
        row = health.setdefault(
            item.claim.endpoint_id,
            {
                "endpoint_id": item.claim.endpoint_id,
                "last_success_at": None,
                "last_failure_at": None,
                "last_failure_outcome": None,
                "failing_since": None,
                "failure_count": 0,
            },
        )
        if item.outcome.is_success:
            row |= {"last_success_at": item.started_at, "failing_since": None, "failure_count": 0}
        else:
            row |= {"last_failure_at": item.started_at, "last_failure_outcome": item.outcome.kind.value}
            row["failing_since"] = row["failing_since"] or item.started_at
            row["failure_count"] += 1
    upsert = _insert(connection, EndpointHealth)
    new, old = upsert.excluded, EndpointHealth
    statement = upsert.on_conflict_do_update(
        index_elements=["endpoint_id"],
        set_={
            "last_success_at": func.coalesce(new.last_success_at, old.last_success_at),
            "last_failure_at": func.coalesce(new.last_failure_at, old.last_failure_at),
            "last_failure_outcome": func.coalesce(new.last_failure_outcome, old.last_failure_outcome),
            # A success in the batch ends an older streak; without one, the older start counts.
            "failing_since": case(
                (new.last_success_at.is_(None), func.coalesce(old.failing_since, new.failing_since)),
                else_=new.failing_since,
            ),
            "failure_count": case(
                (new.last_success_at.is_(None), old.failure_count + new.failure_count),
                else_=new.failure_count,
            ),
        },
    )
    connection.execute(statement, list(health.values()))


def _add_rollups(connection: Connection, kept: list[Finished]) -> None:
    counts: Counter[tuple[str, datetime, str, int]] = Counter()
    for item in kept:
        hour = item.started_at.replace(minute=0, second=0, microsecond=0)
        bucket = latency_bucket(item.outcome.timings.total_us)
        counts[item.claim.endpoint_id, hour, item.outcome.kind.value, bucket] += 1
    names = ("endpoint_id", "hour_at", "outcome", "latency_bucket")
    rows = [dict(zip(names, key, strict=True)) | {"count": count} for key, count in sorted(counts.items())]
    upsert = _insert(connection, AttemptRollup)
    statement = upsert.on_conflict_do_update(
        index_elements=list(names), set_={"count": AttemptRollup.count + upsert.excluded.count}
    )
    connection.execute(statement, rows)


def _disable_gone(connection: Connection, kept: list[Finished], now: datetime) -> None:
    gone = {item.claim.endpoint_id for item in kept if item.outcome.kind is OutcomeClass.HTTP_410}
    for endpoint_id in sorted(gone):
        if endpoints.disable_in(
            connection, endpoint_id, reason=GONE_REASON, actor=Actor("delivery"), now=now
        ):
            notices.add(connection, endpoint_id, NoticeKind.GONE, streak_at=now, now=now)


def _insert(connection: Connection, table: Any) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
