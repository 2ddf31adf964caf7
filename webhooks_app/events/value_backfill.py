"""Giving events that the previous version accepted the values by which they are found.

It walks the events from the oldest on, in short transactions; any number of runs may be under way at once,
and where one was killed, the next goes on.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, delete, select, update

from webhooks_app.core import clock, ids
from webhooks_app.db import event_bodies, event_values
from webhooks_app.db.engines import Databases, ReadDatabase
from webhooks_app.db.models import Event, ValueBackfill
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.db.write_connection import WriteConnection

# What an event of that type with that data is found by.
ValuesOf = Callable[[str, Mapping[str, Any]], list[str]]


@dataclass(frozen=True, slots=True)
class BackfillLimits:
    """How many events one transaction indexes, and how long to pause then, relative to the time it took."""

    batch_rows: int = 100
    pause_share: float = 1.0


DEFAULT_LIMITS = BackfillLimits()


def is_due(database: ReadDatabase) -> bool:
    with database.connect() as connection:
        return connection.scalar(select(ValueBackfill.until).limit(1)) is not None


def run_all(
    databases: Databases,
    values_of: ValuesOf,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    limits: BackfillLimits = DEFAULT_LIMITS,
) -> None:
    """Index all that is left, until `should_stop`."""
    with databases.read.connect() as connection:
        backfills = connection.execute(select(ValueBackfill.until, ValueBackfill.position)).all()
    for until, position in backfills:
        while not should_stop():
            started = time.monotonic()
            reached = _index_batch(databases, values_of, until, position, limits.batch_rows)
            if reached == position:
                _finish(databases, until)
                break
            position = reached
            time.sleep((time.monotonic() - started) * limits.pause_share)


def _index_batch(databases: Databases, values_of: ValuesOf, until: str, position: str, limit: int) -> str:
    """Index the events behind `position`; return the new one, which is the old one at the end."""
    body = case((Event.indexed_values.is_(None), Event.body))
    columns = (Event.id, Event.workspace_id, Event.type, body.label("body"))
    behind = select(*columns).where(Event.id > position, Event.id < until).order_by(Event.id).limit(limit)
    with databases.read.connect() as connection:
        rows = connection.execute(behind).all()
    if not rows:
        return position
    with databases.write.begin() as connection:
        _index(connection, values_of, rows)
        moved = update(ValueBackfill).where(ValueBackfill.until == until, ValueBackfill.position == position)
        reached: str = rows[-1].id
        connection.execute(moved.values(position=reached))
    return reached


def _index(connection: WriteConnection, values_of: ValuesOf, rows: Sequence[Row[Any]]) -> None:
    for row in rows:
        body = event_bodies.of_event(row.id, row.body or b"")
        if not body:
            continue
        values = values_of(row.type, json.loads(body)["data"])
        columns = dict(zip(VALUE_COLUMNS, event_values.columns(values), strict=True))
        named = update(Event).where(Event.id == row.id, Event.indexed_values.is_(None))
        connection.execute(named.values(indexed_values=values, **columns))


def _finish(databases: Databases, until: str) -> None:
    """Delete the backfill's row once no further event can be accepted that it would have to index."""
    if until < ids.floor("evt", clock.now()):
        with databases.write.begin() as connection:
            connection.execute(delete(ValueBackfill).where(ValueBackfill.until == until))
