"""Inserts of events and their deliveries, by each driver's fastest way."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from webhooks_app.db import delivery_inserts, driver_errors, driver_sql, event_values
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.models.base import microseconds
from webhooks_app.db.postgresql_arrays import ByteaArray, TextArray
from webhooks_app.db.write_connection import WriteConnection


class NewEventRow(NamedTuple):
    """An event as its table holds it, but for the moment, which all that are inserted together share.

    By its `indexed_values` it is found at once. With `has_shared_values` these stand in their columns alone,
    where that holds them as they are.
    """

    id: str
    workspace_id: str
    type: str
    body: bytes
    idempotency_key: str | None
    request_hash: str | None
    indexed_values: Sequence[str] = ()
    has_shared_values: bool = False


# All three tables in one statement, as a round trip is what a few events' inserts cost. The rows travel as an
# array for each column: PostgreSQL takes these apart in half the time that it needs for JSON, which could not
# hold the bodies either.
_POSTGRESQL = f"""
    WITH event AS (
        INSERT INTO events
            (id, workspace_id, type, body, idempotency_key, request_hash,
             indexed_values, first_value, second_value, third_value, created_at)
        SELECT r.*, %(created_at)s FROM unnest(
            CAST(%(ids)s AS text[]), CAST(%(workspace_ids)s AS text[]), CAST(%(types)s AS text[]),
            CAST(%(bodies)s AS bytea[]), CAST(%(keys)s AS text[]), CAST(%(hashes)s AS text[]),
            CAST(CAST(%(indexed_values)s AS text[]) AS json[]), CAST(%(first_values)s AS text[]),
            CAST(%(second_values)s AS text[]), CAST(%(third_values)s AS text[])
        ) AS r
        ON CONFLICT DO NOTHING RETURNING id
    ),
    new AS MATERIALIZED (SELECT r.* FROM {delivery_inserts.ROWS} JOIN event ON event.id = r.event_id),
    {delivery_inserts.INSERTS}
    SELECT id FROM event
"""
_ARRAYS = {
    "ids": TextArray,
    "workspace_ids": TextArray,
    "types": TextArray,
    "bodies": ByteaArray,
    "keys": TextArray,
    "hashes": TextArray,
    "indexed_values": TextArray,
    "first_values": TextArray,
    "second_values": TextArray,
    "third_values": TextArray,
}
_SQLITE = """
    INSERT INTO events
        (id, workspace_id, type, body, idempotency_key, request_hash,
         indexed_values, first_value, second_value, third_value, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SQLITE_IF_NEW = _SQLITE + "ON CONFLICT DO NOTHING RETURNING id"

_STORED_FIELDS = NewEventRow._fields.index("indexed_values")
_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def insert(
    connection: WriteConnection,
    rows: Sequence[NewEventRow],
    deliveries: Sequence[NewDelivery] = (),
    *,
    now: datetime,
    is_test: bool = False,
) -> set[str]:
    """Insert the events, and the deliveries of those that were inserted, due now; return these events' ids.

    An event that bears a used idempotency key is left out. Those with a key are inserted in the order of
    their keys, so that two transactions do not wait for each other's. `is_test` says that all deliveries are
    tests. Raises DBAPIError.
    """
    if not rows:
        return set()
    ordered = sorted(rows, key=lambda row: (row.workspace_id, row.idempotency_key or ""))
    if connection.dialect.name == "sqlite":
        inserted = _insert_sqlite(connection, ordered, microseconds(now))
        new = [each for each in deliveries if each.event_id in inserted]
        delivery_inserts.insert(connection, new, created_at=now, due_at=now, is_test=is_test)
        return inserted
    columns = zip(*map(_columns, ordered), strict=True)
    values = delivery_inserts.postgresql_values(deliveries, created_at=now, due_at=now, is_test=is_test)
    values |= {name: _ARRAYS[name](column) for name, column in zip(_ARRAYS, columns, strict=True)}
    return {event_id for (event_id,) in driver_sql.fetch_all_as(connection, _POSTGRESQL, values)}


def _insert_sqlite(connection: WriteConnection, rows: Sequence[NewEventRow], now: int) -> set[str]:
    driver: Any = connection.connection.driver_connection
    plain = [row for row in rows if row.idempotency_key is None]
    inserted = {row.id for row in plain}
    with driver_errors.as_sqlalchemy(connection, _SQLITE):
        driver.executemany(_SQLITE, ((*_columns(row), now) for row in plain))
        for row in rows:
            if row.idempotency_key is not None:
                new_ids = driver.execute(_SQLITE_IF_NEW, (*_columns(row), now))
                inserted.update(new_id for (new_id,) in new_ids)
    return inserted


def _columns(row: NewEventRow) -> tuple[Any, ...]:
    values = row.indexed_values
    columns = event_values.columns(values)
    listed = event_values.listed(values, columns) if row.has_shared_values else values
    return (*row[:_STORED_FIELDS], _as_json(listed), *columns)
