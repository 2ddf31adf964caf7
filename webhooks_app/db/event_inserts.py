"""Inserts of events, by each driver's fastest way; one that bears a used idempotency key is left out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, text

from webhooks_app.db import driver_errors
from webhooks_app.db.models.base import UtcDateTime, microseconds


class NewEventRow(NamedTuple):
    """An event as its table holds it, but for the moment, which all that are inserted together share."""

    id: str
    workspace_id: str
    type: str
    body: bytes
    idempotency_key: str | None
    request_hash: str | None


# The bodies travel as bytes, which a JSON value could not hold.
_POSTGRESQL = text(
    """
    INSERT INTO events (id, workspace_id, type, body, idempotency_key, request_hash, created_at)
    SELECT r.*, :now FROM unnest(
        CAST(:ids AS text[]), CAST(:workspace_ids AS text[]), CAST(:types AS text[]),
        CAST(:bodies AS bytea[]), CAST(:keys AS text[]), CAST(:hashes AS text[])
    ) AS r
    ON CONFLICT DO NOTHING RETURNING id
    """
).bindparams(bindparam("now", type_=UtcDateTime))
_PARAMETERS = ("ids", "workspace_ids", "types", "bodies", "keys", "hashes")
_SQLITE = """
    INSERT INTO events (id, workspace_id, type, body, idempotency_key, request_hash, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_SQLITE_IF_NEW = _SQLITE + "ON CONFLICT DO NOTHING RETURNING id"


def insert(connection: Connection, rows: Sequence[NewEventRow], *, now: datetime) -> set[str]:
    """Insert the events; return the ids of those that were inserted. Raises DBAPIError.

    Those with a key are inserted in the order of their keys, so that two transactions do not wait for each
    other's.
    """
    ordered = sorted(rows, key=lambda row: (row.workspace_id, row.idempotency_key or ""))
    if connection.dialect.name == "sqlite":
        return _insert_sqlite(connection, ordered, microseconds(now))
    columns = dict(zip(_PARAMETERS, map(list, zip(*ordered, strict=True)), strict=True))
    return set(connection.execute(_POSTGRESQL, columns | {"now": now}).scalars())


def _insert_sqlite(connection: Connection, rows: Sequence[NewEventRow], now: int) -> set[str]:
    driver: Any = connection.connection.driver_connection
    plain = [row for row in rows if row.idempotency_key is None]
    inserted = {row.id for row in plain}
    with driver_errors.as_sqlalchemy(connection, _SQLITE):
        driver.executemany(_SQLITE, ((*row, now) for row in plain))
        for row in rows:
            if row.idempotency_key is not None:
                inserted.update(new_id for (new_id,) in driver.execute(_SQLITE_IF_NEW, (*row, now)))
    return inserted
