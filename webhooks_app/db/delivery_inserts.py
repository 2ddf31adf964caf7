"""Inserts of deliveries and of their places in the queue, by each driver's fastest way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from webhooks_app.db import driver_errors
from webhooks_app.db.models import DeliveryState
from webhooks_app.db.models.base import microseconds
from webhooks_app.db.postgresql_arrays import TextArray
from webhooks_app.db.write_connection import WriteConnection


class NewDelivery(NamedTuple):
    """A delivery that nothing was sent for yet, and the state that it begins in."""

    id: str
    workspace_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    state: str


_COLUMNS = ", ".join(NewDelivery._fields)
# PostgreSQL's parts of a statement: the rows, named `r`; and what inserts those of a query named `new`, both
# tables in one statement, as a round trip is what a single event's insert costs.
ROWS = f"unnest({', '.join(f'CAST(%({name})s AS text[])' for name in NewDelivery._fields)}) AS r ({_COLUMNS})"
INSERTS = """
    delivery AS (
        INSERT INTO deliveries
            (id, workspace_id, endpoint_id, event_id, event_type, state, created_at,
             next_attempt_at, finished_at, generation, attempt_count, tries, is_test)
        SELECT id, workspace_id, endpoint_id, event_id, event_type, state, %(created_at)s,
            CASE WHEN state = 'pending' THEN %(due_at)s END,
            CASE WHEN state = 'canceled' THEN %(due_at)s END, 0, 0, 0, %(is_test)s
        FROM new
    ),
    queued AS (
        INSERT INTO pending_deliveries
            (delivery_id, endpoint_id, event_id, next_attempt_at, generation, tries, lapses, is_test)
        SELECT id, endpoint_id, event_id, %(due_at)s, 0, 0, 0, %(is_test)s FROM new WHERE state = 'pending'
    )
"""
_POSTGRESQL = f"WITH new AS MATERIALIZED (SELECT * FROM {ROWS}), {INSERTS} SELECT 1"
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
    connection: WriteConnection,
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
    values = postgresql_values(deliveries, created_at=created_at, due_at=due_at, is_test=is_test)
    connection.exec_driver_sql(_POSTGRESQL, values)


def postgresql_values(
    deliveries: Sequence[NewDelivery], *, created_at: datetime, due_at: datetime, is_test: bool
) -> dict[str, Any]:
    """Return what ROWS and INSERTS are given: an array for each column, and what all rows share."""
    columns = zip(*deliveries, strict=True) if deliveries else ([] for _ in NewDelivery._fields)
    values: dict[str, Any] = dict(zip(NewDelivery._fields, map(TextArray, columns), strict=True))
    return values | {"created_at": created_at, "due_at": due_at, "is_test": is_test}


def _insert_sqlite(
    connection: WriteConnection,
    deliveries: Sequence[NewDelivery],
    created_at: int,
    due_at: int,
    is_test: bool,
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
