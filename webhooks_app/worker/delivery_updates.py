"""What attempts change of their deliveries: states, and what of them is queued."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any

from webhooks_app.db import bulk_sql
from webhooks_app.db.models import DeliveryState
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker.claimed_delivery import ClaimedDelivery, ClaimKey
from webhooks_app.worker.traffic_counters import Subject

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


def write(
    connection: WriteConnection, deliveries: list[ClaimedDelivery], now: datetime
) -> tuple[set[ClaimKey], dict[str, Subject], Collection[str]]:
    """Write the deliveries' states; return the claims whose outcomes were written, and their subjects.

    The third are the ids of those that a late success finished.
    """
    encode_moment = bulk_sql.moment_encoder(connection)
    rows = [_delivery_row(each, now, encode_moment) for each in deliveries]
    pending = [row for row in rows if row["state"] == "pending"]
    finished = [row for row in rows if row["state"] != "pending"]
    current: set[ClaimKey] = set()
    for statement, some in ((_DEQUEUE, finished), (_RESCHEDULE, pending)):
        if some:
            current |= claim_keys(bulk_sql.run_with_rows(connection, statement, some))
    subjects: dict[str, Subject] = {}
    if updated := [row for row in rows if _key(row) in current]:
        subjects = _subjects(bulk_sql.run_with_rows(connection, _UPDATE_DELIVERIES, updated))
    late = {row["id"]: row for row in finished if _key(row) not in current and row["state"] == "delivered"}
    written_late = _write_late_successes(connection, list(late.values()))
    succeeded = {_key(row) for row in late.values() if row["id"] in written_late}
    return current | succeeded, subjects | written_late, written_late.keys()


def _subjects(rows: Iterable[Any]) -> dict[str, Subject]:
    return {delivery_id: Subject(workspace_id, event_type) for delivery_id, workspace_id, event_type in rows}


def _write_late_successes(connection: WriteConnection, rows: list[dict[str, Any]]) -> dict[str, Subject]:
    """Write those that are not delivered by now; return by id what they are about."""
    if not rows:
        return {}
    # A delivery that is delivered already has no row in the queue.
    newest = dict(claim_keys(bulk_sql.run_with_rows(connection, _DEQUEUE_ANY_CLAIM, rows)))
    # The newer claim may be in flight, and must stay stale when the delivery is replayed.
    current = [row | {"generation": newest.get(row["id"], row["generation"])} for row in rows]
    return _subjects(bulk_sql.run_with_rows(connection, _UPDATE_LATE_SUCCESSES, current))


def _key(row: dict[str, Any]) -> ClaimKey:
    return row["id"], row["generation"]


def claim_keys(result: Iterable[Any]) -> set[ClaimKey]:
    """Return the claims of rows with a delivery's id and its generation."""
    return {(delivery_id, generation) for delivery_id, generation in result}


def retry_due_at(delivery: ClaimedDelivery, now: datetime) -> datetime | None:
    """Return when the retry falls due: as decided when the answer came, but not before it is recorded.

    An outcome may wait for the database for up to a lease. A due time in the past would count as overdue.
    """
    due_at = delivery.decision.next_attempt_at
    return max(due_at, now) if due_at else None


def _delivery_row(
    delivery: ClaimedDelivery, now: datetime, encode_moment: Callable[[datetime], Any]
) -> dict[str, Any]:
    outcome, state = delivery.outcome, delivery.decision.state
    due_at = retry_due_at(delivery, now)
    return {
        "id": delivery.delivery_id,
        "generation": delivery.generation,
        "state": state.value,
        "next_at": encode_moment(due_at) if due_at else None,
        "started_at": encode_moment(delivery.started_at),
        "outcome": outcome.kind.value,
        "status": outcome.status or None,
        "duration_ms": outcome.timings.total_us // 1000,
        "finished_at": None if state is DeliveryState.PENDING else encode_moment(now),
        "spent": 0 if delivery.is_manual else 1,
    }
