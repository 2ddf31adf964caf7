"""Into the queue and out of it, together with the deliveries' state and in the caller's transaction."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, text

from webhooks_app.db import bulk_sql
from webhooks_app.db.models import DeliveryState
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.db.write_connection import WriteConnection

_CLAIM_FIELDS = {"id": "text", "generation": "int"}
_ADD = bulk_sql.prepare_with_rows(
    """
    INSERT INTO pending_deliveries
        (delivery_id, endpoint_id, event_id, next_attempt_at, generation, tries, lapses, is_test)
    SELECT id, endpoint_id, event_id, :now, generation, tries, 0, is_test
    FROM deliveries WHERE id IN (SELECT r.id FROM {rows})
    """,
    {"id": "text"},
)
_REMOVE = bulk_sql.prepare_with_rows(
    """
    DELETE FROM pending_deliveries
    WHERE (delivery_id, generation) IN (SELECT r.id, r.generation FROM {rows})
    RETURNING delivery_id, generation
    """,
    _CLAIM_FIELDS,
)
# The generation goes along: an attempt still in flight must stay stale after the delivery's return.
_SET_STATE = bulk_sql.prepare_with_rows(
    """
    UPDATE deliveries SET
        state = :state, next_attempt_at = NULL, generation = r.generation, finished_at = :finished_at
    FROM {rows} WHERE deliveries.id = r.id
    """,
    _CLAIM_FIELDS,
)


def add(connection: WriteConnection, delivery_ids: Iterable[str], *, now: datetime) -> None:
    """Queue deliveries that the caller has just made `pending`, due now."""
    bulk_sql.run_with_rows(connection, _ADD, [{"id": each} for each in delivery_ids], now=now)


def count_due(connection: Connection, endpoint_id: str, *, now: datetime, limit: int) -> int:
    """Return how many deliveries are due at the endpoint, counted no further than `limit`."""
    statement = text("""
        SELECT count(*) FROM (
            SELECT 1 FROM pending_deliveries
            WHERE endpoint_id = :endpoint_id AND next_attempt_at <= :now LIMIT :limit
        ) AS due
    """).bindparams(bindparam("now", type_=UtcDateTime))
    values = {"endpoint_id": endpoint_id, "now": now, "limit": limit}
    return int(connection.execute(statement, values).scalar_one())


def remove_endpoint(
    connection: WriteConnection, endpoint_id: str, state: DeliveryState, *, now: datetime
) -> int:
    """Take every pending delivery of an endpoint out of the queue, into `state`; return how many."""
    statement = text("""
        DELETE FROM pending_deliveries WHERE endpoint_id = :id RETURNING delivery_id, generation
    """)
    removed = connection.execute(statement, {"id": endpoint_id}).all()
    set_state(connection, removed, state, now=now)
    return len(removed)


def remove(
    connection: WriteConnection, claimed: Iterable[tuple[str, int]], state: DeliveryState, *, now: datetime
) -> int:
    """Take deliveries out of the queue, into `state`, where they still have the generation named.

    Return how many did.
    """
    named = [{"id": delivery_id, "generation": generation} for delivery_id, generation in claimed]
    removed = bulk_sql.run_with_rows(connection, _REMOVE, named)
    set_state(connection, removed, state, now=now)
    return len(removed)


def set_state(
    connection: WriteConnection, removed: Collection[Sequence[Any]], state: DeliveryState, *, now: datetime
) -> None:
    """Give deliveries that the caller has just taken out of the queue their new state.

    `removed` holds the id and the generation of each, as they were in the queue.
    """
    if not removed:
        return
    rows = [{"id": delivery_id, "generation": generation} for delivery_id, generation in removed]
    finished_at = now if state is DeliveryState.CANCELED else None
    bulk_sql.run_with_rows(connection, _SET_STATE, rows, state=state.value, finished_at=finished_at)
