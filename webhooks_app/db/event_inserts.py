"""Inserts of events, by each driver's fastest way; one that bears a used idempotency key is left out."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, text

from webhooks_app.db import driver_errors, event_values
from webhooks_app.db.models.base import UtcDateTime, microseconds


class NewEventRow(NamedTuple):
    """An event as its table holds it, but for the moment, which all that are inserted together share.

    By its `indexed_values` it is found at once.
    """

    id: str
    workspace_id: str
    type: str
    body: bytes
    idempotency_key: str | None
    request_hash: str | None
    indexed_values: Sequence[str] = ()


# The bodies travel as bytes, which a JSON value could not hold.
_POSTGRESQL = text(
    """
    INSERT INTO events
        (id, workspace_id, type, body, idempotency_key, request_hash,
         indexed_values, first_value, second_value, third_value, created_at)
    SELECT r.*, :now FROM unnest(
        CAST(:ids AS text[]), CAST(:workspace_ids AS text[]), CAST(:types AS text[]),
        CAST(:bodies AS bytea[]), CAST(:keys AS text[]), CAST(:hashes AS text[]),
        CAST(CAST(:indexed_values AS text[]) AS json[]),
        CAST(:first_values AS text[]), CAST(:second_values AS text[]), CAST(:third_values AS text[])
    ) AS r
    ON CONFLICT DO NOTHING RETURNING id
    """
).bindparams(bindparam("now", type_=UtcDateTime))
_PARAMETERS = (
    *("ids", "workspace_ids", "types", "bodies", "keys", "hashes"),
    *("indexed_values", "first_values", "second_values", "third_values"),
)
_SQLITE = """
    INSERT INTO events
        (id, workspace_id, type, body, idempotency_key, request_hash,
         indexed_values, first_value, second_value, third_value, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SQLITE_IF_NEW = _SQLITE + "ON CONFLICT DO NOTHING RETURNING id"

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def insert(connection: Connection, rows: Sequence[NewEventRow], *, now: datetime) -> set[str]:
    """Insert the events; return the ids of those that were inserted. Raises DBAPIError.

    Those with a key are inserted in the order of their keys, so that two transactions do not wait for each
    other's.
    """
    ordered = sorted(rows, key=lambda row: (row.workspace_id, row.idempotency_key or ""))
    if connection.dialect.name == "sqlite":
        return _insert_sqlite(connection, ordered, microseconds(now))
    values = map(list, zip(*map(_columns, ordered), strict=True))
    parameters = dict(zip(_PARAMETERS, values, strict=True))
    return set(connection.execute(_POSTGRESQL, parameters | {"now": now}).scalars())


def _insert_sqlite(connection: Connection, rows: Sequence[NewEventRow], now: int) -> set[str]:
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
    return (*row[:-1], _as_json(values), *event_values.columns(values))
