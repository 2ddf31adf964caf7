"""Recording: what came of a batch of attempts, in one transaction and a fixed number of statements."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from webhooks_app.accounts.audit import Actor
from webhooks_app.core import failpoints
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db import attempt_inserts, bulk_sql, event_payloads
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, NoticeKind, PendingDelivery
from webhooks_app.endpoints import actions, notices
from webhooks_app.worker import attempt_rows, endpoint_counters, endpoint_rate_limits, traffic_counters
from webhooks_app.worker.claimed_delivery import ClaimedDelivery, ClaimKey
from webhooks_app.worker.traffic_counters import Subject

NO_DIGESTS: Mapping[tuple[str, str], int | None] = {}
GONE_REASON = "The endpoint answered 410 Gone."

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
    "spent": "int",  # of the schedule: nothing by a manual attempt
}
_DEQUEUE = bulk_sql.prepare_with_rows(
    """
    DELETE FROM pending_deliveries
    WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows})
    RETURNING delivery_id, generation
    """,
    _FIELDS,
)
_RESCHEDULE = bulk_sql.prepare_with_rows(
    """
    UPDATE pending_deliveries SET
        next_attempt_at = r.next_at, claimed_at = NULL, tries = tries + r.spent, lapses = 0,
        scheduled_at = NULL
    FROM {rows} WHERE delivery_id = r.id AND pending_deliveries.generation = r.generation
    RETURNING delivery_id, pending_deliveries.generation
    """,
    _FIELDS,
)
_UPDATE_DELIVERIES_SQL = """
    UPDATE deliveries SET
        state = r.state, next_attempt_at = r.next_at,
        generation = {greatest}(deliveries.generation, r.generation),
        attempt_count = attempt_count + 1, tries = tries + r.spent, last_attempt_at = r.started_at,
        last_outcome = r.outcome, last_status = r.status, last_duration_ms = r.duration_ms,
        finished_at = r.finished_at
    FROM {rows} WHERE deliveries.id = r.id
"""
_RETURNING = " RETURNING deliveries.id, deliveries.workspace_id, deliveries.event_type"
_UPDATE_DELIVERIES = bulk_sql.prepare_with_rows(_UPDATE_DELIVERIES_SQL + _RETURNING, _FIELDS)
# A delivery that was claimed again may still succeed by its earlier claim, and a success counts.
_UPDATE_LATE_SUCCESSES = bulk_sql.prepare_with_rows(
    _UPDATE_DELIVERIES_SQL + " AND deliveries.state <> 'delivered'" + _RETURNING, _FIELDS
)
_DEQUEUE_ANY_CLAIM = bulk_sql.prepare_with_rows(
    """
    DELETE FROM pending_deliveries WHERE delivery_id IN (SELECT r.id FROM {rows})
    RETURNING delivery_id, generation
    """,
    _FIELDS,
)
_SELECT_RECORDED = bulk_sql.prepare_with_rows(
    """
    SELECT delivery_id, generation FROM attempts
    WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows})
    """,
    {"id": "text", "generation": "int"},
)


def record(
    database: WriteDatabase,
    deliveries: list[ClaimedDelivery],
    *,
    now: datetime,
    is_retry: bool = False,
    is_counted: bool = True,
    is_packed: bool = False,
    constant_digests: Mapping[tuple[str, str], int | None] = NO_DIGESTS,
) -> list[datetime]:
    """Write the attempts and what was decided about their deliveries; return when retries fall due.

    Outcomes of stale claims are dropped, except that a late success still makes its delivery delivered.
    `is_retry` says that an earlier call ended in an error, after which all of the batch may have been written
    or nothing, or is written at this moment. Unless `is_counted`, the attempts mean nothing for the health of
    their endpoints, as those of tests never do. `is_packed` says that headers may be packed
    (`db/attempt_heads.py`), as no process runs any more that could not read them, and then refer to those of
    `constant_digests`, which `StoredHeaders.digests` returned. Raises DBAPIError, and ValueError or
    OverflowError for a value that no column takes.
    """
    with database.begin() as connection:
        if is_retry:
            _lock(connection, deliveries)
            deliveries = _unrecorded(connection, deliveries)
        written, subjects, late = _write_deliveries(connection, deliveries, now)
        failpoints.hit("worker.half_recorded")
        recorded = [each for each in deliveries if each.key in written]
        erased = _erased_events(connection, [each for each in recorded if each.delivery_id in late])
        if recorded:
            as_stored = attempt_inserts.moments(connection)
            rows = [
                attempt_rows.of(
                    each,
                    as_stored,
                    is_packed=is_packed,
                    is_erased=each.event_id in erased,
                    constant_digest=constant_digests.get((each.endpoint_id, each.constant_headers or "")),
                )
                for each in recorded
            ]
            attempt_inserts.insert(connection, rows)
            _count(connection, [each for each in recorded if is_counted and not each.is_test], subjects, now)
    return [due_at for each in recorded if (due_at := _due_at(each, now))]


def _erased_events(connection: Connection, late: list[ClaimedDelivery]) -> set[str]:
    """Return the events of late successes that have no payload any more; the others keep it until the end.

    Of any other outcome's event there is a payload, as its delivery was still to be finished.
    """
    event_ids = {each.event_id for each in late}
    return event_ids - set(event_payloads.lock_unerased(connection, event_ids)) if event_ids else set()


def _count(
    connection: Connection, counted: list[ClaimedDelivery], subjects: dict[str, Subject], now: datetime
) -> None:
    """Write what the attempts mean for their endpoints."""
    if counted:
        endpoint_counters.add_health(connection, counted)
        endpoint_counters.add_rollups(connection, counted)
        endpoint_rate_limits.pause_endpoints(connection, _pauses(counted))
        _disable_gone(connection, counted, now)
        traffic_counters.add(connection, counted, subjects)


def _lock(connection: Connection, deliveries: list[ClaimedDelivery]) -> None:
    """Wait for whoever records the same attempts at this moment, before looking for what is recorded."""
    mine = PendingDelivery.delivery_id.in_({each.delivery_id for each in deliveries})
    locked = select(PendingDelivery.delivery_id).where(mine).order_by(PendingDelivery.delivery_id)
    connection.execute(locked.with_for_update())


def _unrecorded(connection: Connection, deliveries: list[ClaimedDelivery]) -> list[ClaimedDelivery]:
    keys = [{"id": each.delivery_id, "generation": each.generation} for each in deliveries]
    recorded = _keys(bulk_sql.run_with_rows(connection, _SELECT_RECORDED, keys))
    return [each for each in deliveries if each.key not in recorded]


def _write_deliveries(
    connection: Connection, deliveries: list[ClaimedDelivery], now: datetime
) -> tuple[set[ClaimKey], dict[str, Subject], Collection[str]]:
    """Write the deliveries' states; return the claims whose outcomes were written, and their subjects.

    The third are the ids of those that a late success finished.
    """
    moment = bulk_sql.moment_encoder(connection)
    rows = [_delivery_row(each, now, moment) for each in deliveries]
    pending = [row for row in rows if row["state"] == "pending"]
    finished = [row for row in rows if row["state"] != "pending"]
    current: set[ClaimKey] = set()
    for statement, some in ((_DEQUEUE, finished), (_RESCHEDULE, pending)):
        if some:
            current |= _keys(bulk_sql.run_with_rows(connection, statement, some))
    subjects: dict[str, Subject] = {}
    if updated := [row for row in rows if _key(row) in current]:
        subjects = _subjects(bulk_sql.run_with_rows(connection, _UPDATE_DELIVERIES, updated))
    late = {row["id"]: row for row in finished if _key(row) not in current and row["state"] == "delivered"}
    written_late = _write_late_successes(connection, list(late.values()))
    succeeded = {_key(row) for row in late.values() if row["id"] in written_late}
    return current | succeeded, subjects | written_late, written_late.keys()


def _subjects(rows: Iterable[Any]) -> dict[str, Subject]:
    return {delivery_id: Subject(workspace_id, event_type) for delivery_id, workspace_id, event_type in rows}


def _write_late_successes(connection: Connection, rows: list[dict[str, Any]]) -> dict[str, Subject]:
    """Write those that are not delivered by now; return by id what they are about."""
    if not rows:
        return {}
    # A delivery that is delivered already has no row in the queue.
    newest = dict(_keys(bulk_sql.run_with_rows(connection, _DEQUEUE_ANY_CLAIM, rows)))
    # The newer claim may be in flight, and must stay stale when the delivery is replayed.
    current = [row | {"generation": newest.get(row["id"], row["generation"])} for row in rows]
    return _subjects(bulk_sql.run_with_rows(connection, _UPDATE_LATE_SUCCESSES, current))


def _key(row: dict[str, Any]) -> ClaimKey:
    return row["id"], row["generation"]


def _keys(result: Iterable[Any]) -> set[ClaimKey]:
    return {(delivery_id, generation) for delivery_id, generation in result}


def _due_at(delivery: ClaimedDelivery, now: datetime) -> datetime | None:
    """Return when the retry falls due: as decided when the answer came, but not before it is recorded.

    An outcome may wait for the database for up to a lease. A due time in the past would count as overdue.
    """
    due_at = delivery.decision.next_attempt_at
    return max(due_at, now) if due_at else None


def _delivery_row(
    delivery: ClaimedDelivery, now: datetime, moment: Callable[[datetime], Any]
) -> dict[str, Any]:
    outcome, state = delivery.outcome, delivery.decision.state
    due_at = _due_at(delivery, now)
    return {
        "id": delivery.delivery_id,
        "generation": delivery.generation,
        "state": state.value,
        "next_at": moment(due_at) if due_at else None,
        "started_at": moment(delivery.started_at),
        "outcome": outcome.kind.value,
        "status": outcome.status or None,
        "duration_ms": outcome.timings.total_us // 1000,
        "finished_at": None if state is DeliveryState.PENDING else moment(now),
        "spent": 0 if delivery.is_manual else 1,
    }


def _pauses(recorded: list[ClaimedDelivery]) -> dict[str, datetime]:
    return {each.endpoint_id: until for each in recorded if (until := each.decision.pause_endpoint_until)}


def _disable_gone(connection: Connection, recorded: list[ClaimedDelivery], now: datetime) -> None:
    gone = {each.endpoint_id for each in recorded if each.outcome.kind is OutcomeClass.HTTP_410}
    for endpoint_id in sorted(gone):
        if actions.disable_in_transaction(
            connection, endpoint_id, reason=GONE_REASON, actor=Actor("delivery"), now=now
        ):
            notices.add(connection, endpoint_id, NoticeKind.GONE, streak_at=now, now=now)
