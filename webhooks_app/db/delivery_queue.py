"""Into the queue and out of it, together with the deliveries' state and in the caller's transaction."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, text

from webhooks_app.db.models import DeliveryState
from webhooks_app.db.models.base import UtcDateTime

_VALUES = {
    "sqlite": "(SELECT value FROM json_each(:ids))",
    "postgresql": "(SELECT jsonb_array_elements_text(CAST(:ids AS jsonb)))",
}
_ROWS = {
    "sqlite": "(SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS generation"
    " FROM json_each(:rows)) AS r",
    "postgresql": "(SELECT value ->> 0 AS id, CAST(value ->> 1 AS int) AS generation"
    " FROM jsonb_array_elements(CAST(:rows AS jsonb))) AS r",
}


def enter(connection: Connection, delivery_ids: Sequence[str], *, now: datetime) -> None:
    """Queues deliveries that the caller has just made `pending`, due now."""
    statement = text(f"""
        INSERT INTO pending_deliveries
            (delivery_id, endpoint_id, event_id, next_attempt_at, generation, tries, lapses)
        SELECT id, endpoint_id, event_id, :now, generation, tries, 0
        FROM deliveries WHERE id IN {_VALUES[connection.dialect.name]}
    """).bindparams(bindparam("now", type_=UtcDateTime))
    connection.execute(statement, {"ids": json.dumps(list(delivery_ids)), "now": now})


def count_due(connection: Connection, endpoint_id: str, *, now: datetime, limit: int) -> int:
    """How many deliveries are due at the endpoint, counted no further than `limit`."""
    statement = text("""
        SELECT count(*) FROM (
            SELECT 1 FROM pending_deliveries
            WHERE endpoint_id = :endpoint_id AND next_attempt_at <= :now LIMIT :limit
        ) AS due
    """).bindparams(bindparam("now", type_=UtcDateTime))
    values = {"endpoint_id": endpoint_id, "now": now, "limit": limit}
    return int(connection.execute(statement, values).scalar_one())


def leave_endpoint(connection: Connection, endpoint_id: str, state: DeliveryState, *, now: datetime) -> None:
    """Takes every pending delivery of an endpoint out of the queue, into `state`."""
    gone = connection.execute(
        text("DELETE FROM pending_deliveries WHERE endpoint_id = :id RETURNING delivery_id, generation"),
        {"id": endpoint_id},
    )
    _settle(connection, [list(row) for row in gone], state, now)


def leave(
    connection: Connection, claimed: Sequence[tuple[str, int]], state: DeliveryState, *, now: datetime
) -> int:
    """Takes deliveries out of the queue, into `state`, where they still have the generation named.

    How many did.
    """
    gone: list[list[Any]] = []
    for delivery_id, generation in claimed:
        row = connection.execute(
            text(
                "DELETE FROM pending_deliveries WHERE delivery_id = :id AND generation = :generation"
                " RETURNING delivery_id, generation"
            ),
            {"id": delivery_id, "generation": generation},
        ).first()
        gone += [list(row)] if row else []
    _settle(connection, gone, state, now)
    return len(gone)


def _settle(connection: Connection, gone: list[list[Any]], state: DeliveryState, now: datetime) -> None:
    if not gone:
        return
    # The generation goes along: an attempt still in flight must stay stale after the delivery's return.
    statement = text(f"""
        UPDATE deliveries SET
            state = :state, next_attempt_at = NULL, generation = r.generation, finished_at = :finished_at
        FROM {_ROWS[connection.dialect.name]} WHERE deliveries.id = r.id
    """).bindparams(bindparam("finished_at", type_=UtcDateTime))
    finished_at = now if state is DeliveryState.CANCELED else None
    values = {"rows": json.dumps(gone), "state": state.value, "finished_at": finished_at}
    connection.execute(statement, values)
