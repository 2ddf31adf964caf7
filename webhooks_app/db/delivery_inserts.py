"""Inserts of deliveries and of their places in the queue, by each driver's fastest way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Connection, bindparam

from webhooks_app.db import bulk_sql, driver_errors
from webhooks_app.db.models import DeliveryState
from webhooks_app.db.models.base import UtcDateTime, microseconds


class NewDelivery(NamedTuple):
    """A delivery that nothing was sent for yet, and the state that it begins in."""

    id: str
    workspace_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    state: str


# Both tables in one statement: a round trip is what a single event's insert costs.
_POSTGRESQL = bulk_sql.prepare_with_rows(
    """
    WITH new AS MATERIALIZED (SELECT * FROM {rows}),
    inserted AS (
        INSERT INTO deliveries
            (id, workspace_id, endpoint_id, event_id, event_type, state, created_at,
             next_attempt_at, finished_at, generation, attempt_count, tries, is_test)
        SELECT id, workspace_id, endpoint_id, event_id, event_type, state, :created_at,
            CASE WHEN state = 'pending' THEN :due_at END,
            CASE WHEN state = 'canceled' THEN :due_at END, 0, 0, 0, :is_test
        FROM new
    )
    INSERT INTO pending_deliveries
        (delivery_id, endpoint_id, event_id, next_attempt_at, generation, tries, lapses, is_test)
    SELECT id, endpoint_id, event_id, :due_at, 0, 0, 0, :is_test FROM new WHERE state = 'pending'
    """,
    dict.fromkeys(NewDelivery._fields, "text"),
    bindparam("created_at", type_=UtcDateTime),
    bindparam("due_at", type_=UtcDateTime),
    bindparam("is_test", type_=Boolean),
)
_SQLITE_DELIVERIES = """
    INSERT INTO deliveries
        (id, workspace_id, endpoint_id, event_id, event_type, state, created_at,
         next_attempt_at, finished_at, is_test, generation, attempt_count, tries)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)
"""
_SQLITE_PENDING = """
    INSERT INTO pending_deliveries
        (delivery_id, endpoint_id, event_id, next_attempt_at, is_test, generation, tries, lapses)
    VALUES (?, ?, ?, ?, ?, 0, 0, 0)
"""


def insert(
    connection: Connection,
    deliveries: Sequence[NewDelivery],
    *,
    created_at: datetime,
    due_at: datetime,
    is_test: bool = False,
) -> None:
    """Insert the deliveries, and those that are `pending` into the queue, due at `due_at`.

    Raises DBAPIError as SQLAlchemy does. `due_at` is also when a `canceled` one was finished. `is_test` says
    that all of them are tests.
    """
    if not deliveries:
        return
    if connection.dialect.name == "sqlite":
        _insert_sqlite(connection, deliveries, microseconds(created_at), microseconds(due_at), is_test)
        return
    rows = [each._asdict() for each in deliveries]
    moments = {"created_at": created_at, "due_at": due_at}
    bulk_sql.run_with_rows(connection, _POSTGRESQL, rows, is_test=is_test, **moments)


def _insert_sqlite(
    connection: Connection, deliveries: Sequence[NewDelivery], created_at: int, due_at: int, is_test: bool
) -> None:
    rest: dict[str, tuple[Any, ...]] = {
        DeliveryState.PENDING: (created_at, due_at, None, is_test),
        DeliveryState.HELD: (created_at, None, None, is_test),
        DeliveryState.CANCELED: (created_at, None, due_at, is_test),
    }
    driver: Any = connection.connection.driver_connection
    pending = (
        (each.id, each.endpoint_id, each.event_id, due_at, is_test)
        for each in deliveries
        if each.state == DeliveryState.PENDING
    )
    with driver_errors.as_sqlalchemy(connection, _SQLITE_DELIVERIES):
        driver.executemany(_SQLITE_DELIVERIES, (each + rest[each.state] for each in deliveries))
        driver.executemany(_SQLITE_PENDING, pending)
