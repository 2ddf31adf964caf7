"""Recording: the results of a batch of attempts, in one transaction and a fixed number of statements."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from webhooks_app.accounts.audit import Actor
from webhooks_app.core import failpoints
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db import attempt_inserts, bulk_sql, event_payloads
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import NoticeKind, PendingDelivery
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.endpoints import actions, notices
from webhooks_app.worker import (
    attempt_rows,
    delivery_updates,
    endpoint_counters,
    endpoint_rate_limits,
    traffic_counters,
)
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.delivery_updates import claim_keys, retry_due_at
from webhooks_app.worker.traffic_counters import Subject

NO_DIGESTS: Mapping[tuple[str, str], int | None] = {}
GONE_REASON = "The endpoint answered 410 Gone."

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
    `is_retry` says that an earlier call ended in an error, after which the batch may have been written as a
    whole or not at all, or another transaction may be writing it now. Unless `is_counted`, the attempts mean
    nothing for the health of their endpoints, as those of tests never do. `is_packed` says that headers may
    be packed (`db/attempt_heads.py`), as no process runs any more that could not read them, and then refer to
    those of `constant_digests`, which `StoredHeaders.digests` returned. Raises DBAPIError, and ValueError or
    OverflowError for a value that no column takes.
    """
    with database.begin() as connection:
        if is_retry:
            _lock(connection, deliveries)
            deliveries = _unrecorded(connection, deliveries)
        written, subjects, late = delivery_updates.write(connection, deliveries, now)
        failpoints.hit("worker.half_recorded")
        recorded = [each for each in deliveries if each.key in written]
        erased = _erased_events(connection, [each for each in recorded if each.delivery_id in late])
        if recorded:
            _insert_attempts(connection, recorded, erased, is_packed=is_packed, digests=constant_digests)
            _count(connection, [each for each in recorded if is_counted and not each.is_test], subjects, now)
    return [due_at for each in recorded if (due_at := retry_due_at(each, now))]


def _insert_attempts(
    connection: WriteConnection,
    recorded: list[ClaimedDelivery],
    erased: set[str],
    *,
    is_packed: bool,
    digests: Mapping[tuple[str, str], int | None],
) -> None:
    """Write the attempts, of events in `erased` without what was sent and came back."""
    as_stored = attempt_inserts.moments(connection)
    rows = [
        attempt_rows.to_row(
            each,
            as_stored,
            is_packed=is_packed,
            is_erased=each.event_id in erased,
            constant_digest=digests.get((each.endpoint_id, each.constant_headers or "")),
        )
        for each in recorded
    ]
    attempt_inserts.insert(connection, rows)


def _erased_events(connection: WriteConnection, late: list[ClaimedDelivery]) -> set[str]:
    """Return the events of late successes that have no payload any more; the others keep it until the end.

    Of any other outcome's event there is a payload, as its delivery was still to be finished.
    """
    event_ids = {each.event_id for each in late}
    return event_ids - set(event_payloads.lock_unerased(connection, event_ids)) if event_ids else set()


def _count(
    connection: WriteConnection, counted: list[ClaimedDelivery], subjects: dict[str, Subject], now: datetime
) -> None:
    """Write what the attempts mean for their endpoints."""
    if counted:
        endpoint_counters.add_health(connection, counted)
        endpoint_counters.add_rollups(connection, counted)
        endpoint_rate_limits.store_pauses(connection, _pauses(counted))
        _disable_gone(connection, counted, now)
        traffic_counters.add(connection, counted, subjects)


def _lock(connection: WriteConnection, deliveries: list[ClaimedDelivery]) -> None:
    """Wait for whoever records the same attempts at this moment, before looking for what is recorded."""
    mine = PendingDelivery.delivery_id.in_({each.delivery_id for each in deliveries})
    locked = select(PendingDelivery.delivery_id).where(mine).order_by(PendingDelivery.delivery_id)
    connection.execute(locked.with_for_update())


def _unrecorded(connection: Connection, deliveries: list[ClaimedDelivery]) -> list[ClaimedDelivery]:
    keys = [{"id": each.delivery_id, "generation": each.generation} for each in deliveries]
    recorded = claim_keys(bulk_sql.run_with_rows(connection, _SELECT_RECORDED, keys))
    return [each for each in deliveries if each.key not in recorded]


def _pauses(recorded: list[ClaimedDelivery]) -> dict[str, datetime]:
    return {each.endpoint_id: until for each in recorded if (until := each.decision.pause_endpoint_until)}


def _disable_gone(connection: WriteConnection, recorded: list[ClaimedDelivery], now: datetime) -> None:
    gone = {each.endpoint_id for each in recorded if each.outcome.kind is OutcomeClass.HTTP_410}
    for endpoint_id in sorted(gone):
        if actions.disable_in_transaction(
            connection, endpoint_id, reason=GONE_REASON, actor=Actor("delivery"), now=now
        ):
            notices.add(connection, endpoint_id, NoticeKind.GONE, streak_at=now, now=now)
