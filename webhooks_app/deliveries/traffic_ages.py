"""Sums of attempts as they age: past intervals are added to their hours', and old hours are deleted."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, tuple_

from webhooks_app.db import bulk_sql, traffic_sql
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import TrafficCount
from webhooks_app.db.write_connection import WriteConnection

# The chart of an hour needs intervals that are younger; an outcome that is recorded later than this creates
# its interval again, which the next run adds up.
FINE_AGE = timedelta(hours=2)
KEPT_AGE = timedelta(days=32)  # the longest chart has 30
# What one transaction takes, so that the write lock is held for some 10 ms.
BATCH_ROWS = 500

_KEY = (
    TrafficCount.scope_id,
    TrafficCount.facet,
    TrafficCount.starts_at,
    TrafficCount.minutes,
    TrafficCount.name,
)


def roll_up(
    database: WriteDatabase,
    *,
    now: datetime,
    should_stop: Callable[[], bool] = lambda: False,
    batch_rows: int = BATCH_ROWS,
) -> int:
    """Add the intervals that are older than FINE_AGE to their hours; return how many rows were added."""
    before = now.replace(minute=0, second=0, microsecond=0) - FINE_AGE

    def roll_up_some(connection: WriteConnection) -> int:
        taken = _take(connection, minutes=5, before=before, limit=batch_rows)
        _add_to_hours(connection, taken)
        return len(taken)

    return _repeat(database, roll_up_some, should_stop)


def delete_old(
    database: WriteDatabase,
    *,
    now: datetime,
    should_stop: Callable[[], bool] = lambda: False,
    batch_rows: int = BATCH_ROWS,
) -> int:
    """Delete the hours that no chart reaches; return how many rows."""

    def delete_some(connection: WriteConnection) -> int:
        return len(_take(connection, minutes=60, before=now - KEPT_AGE, limit=batch_rows))

    return _repeat(database, delete_some, should_stop)


def _repeat(
    database: WriteDatabase, act: Callable[[WriteConnection], int], should_stop: Callable[[], bool]
) -> int:
    total = 0
    while not should_stop():
        started = time.monotonic()
        with database.begin() as connection:
            count = act(connection)
        total += count
        if not count:
            break
        time.sleep(time.monotonic() - started)  # lets those go first who waited for the lock
    return total


def _take(connection: WriteConnection, *, minutes: int, before: datetime, limit: int) -> list[Any]:
    """Delete some of the oldest rows, and return them."""
    oldest = (
        select(*_KEY)
        .where(TrafficCount.minutes == minutes, TrafficCount.starts_at < before)
        .order_by(TrafficCount.minutes, TrafficCount.starts_at)
        .limit(limit)
    )
    taken = delete(TrafficCount).where(tuple_(*_KEY).in_(oldest))
    return list(
        connection.execute(taken.returning(*_KEY, TrafficCount.count.label("number"), TrafficCount.failed))
    )


def _add_to_hours(connection: WriteConnection, taken: list[Any]) -> None:
    counts: Counter[tuple[str, str, datetime, str]] = Counter()
    failures: Counter[tuple[str, str, datetime, str]] = Counter()
    for row in taken:
        hour = row.starts_at.replace(minute=0)
        key = row.scope_id, row.facet.value, hour, row.name
        counts[key] += row.number
        failures[key] += row.failed
    encode_moment = bulk_sql.moment_encoder(connection)
    rows = [
        {
            "scope_id": key[0],
            "facet": key[1],
            "starts_at": encode_moment(key[2]),
            "minutes": 60,
            "name": key[3],
        }
        | {"count": count, "failed": failures[key]}
        for key, count in counts.items()
    ]
    if rows:
        bulk_sql.run_with_rows(connection, traffic_sql.ADD, rows)
