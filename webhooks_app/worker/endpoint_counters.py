"""What a batch of attempts adds to its endpoints' health and to the rollups that charts are drawn from.

Rows are written in one order, so that two workers never deadlock.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any

from webhooks_app.core.outcomes import PLATFORM_FAILURES, latency_bucket
from webhooks_app.db import bulk_sql
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

_START = attrgetter("endpoint_id", "started_at")

_HEALTH = bulk_sql.prepare_with_rows(
    """
    INSERT INTO endpoint_health AS old (
        endpoint_id, last_success_at, last_failure_at, last_failure_outcome, last_failure_status,
        failing_since, failure_count, newest_attempted_id
    )
    SELECT endpoint_id, last_success_at, last_failure_at, last_failure_outcome, last_failure_status,
        failing_since, failure_count, newest_attempted_id
    FROM {rows} WHERE true ORDER BY endpoint_id
    ON CONFLICT (endpoint_id) DO UPDATE SET
        last_success_at = coalesce(excluded.last_success_at, old.last_success_at),
        last_failure_at = coalesce(excluded.last_failure_at, old.last_failure_at),
        last_failure_outcome = coalesce(excluded.last_failure_outcome, old.last_failure_outcome),
        last_failure_status = CASE WHEN excluded.last_failure_at IS NULL
            THEN old.last_failure_status ELSE excluded.last_failure_status END,
        -- A success in the batch ends an older streak; without one, the older start counts.
        failing_since = CASE WHEN excluded.last_success_at IS NULL
            THEN coalesce(old.failing_since, excluded.failing_since) ELSE excluded.failing_since END,
        failure_count = CASE WHEN excluded.last_success_at IS NULL
            THEN old.failure_count ELSE 0 END + excluded.failure_count,
        newest_attempted_id = {greatest}(
            coalesce(old.newest_attempted_id, excluded.newest_attempted_id), excluded.newest_attempted_id
        )
    """,
    {
        "endpoint_id": "text",
        "last_success_at": "timestamptz",
        "last_failure_at": "timestamptz",
        "last_failure_outcome": "text",
        "last_failure_status": "int",
        "failing_since": "timestamptz",
        "failure_count": "int",
        "newest_attempted_id": "text",
    },
)
_ROLLUPS = bulk_sql.prepare_with_rows(
    """
    INSERT INTO attempt_rollups AS old (endpoint_id, hour_at, outcome, latency_bucket, count)
    SELECT endpoint_id, hour_at, outcome, latency_bucket, count FROM {rows} WHERE true
    ORDER BY endpoint_id, hour_at, outcome, latency_bucket
    ON CONFLICT (endpoint_id, hour_at, outcome, latency_bucket)
    DO UPDATE SET count = old.count + excluded.count
    """,
    {
        "endpoint_id": "text",
        "hour_at": "timestamptz",
        "outcome": "text",
        "latency_bucket": "int",
        "count": "int",
    },
)


def add_health(connection: WriteConnection, attempted: list[ClaimedDelivery]) -> None:
    """Add the attempts to their endpoints' health: the last of each kind, the failure streak, the newest."""
    encode_moment = bulk_sql.moment_encoder(connection)
    health: dict[str, dict[str, Any]] = {}
    for each in sorted(attempted, key=_START):
        started_at, outcome = each.started_at, each.outcome
        row = health.setdefault(each.endpoint_id, {"endpoint_id": each.endpoint_id, "failure_count": 0})
        row["newest_attempted_id"] = max(row.get("newest_attempted_id", ""), each.delivery_id)
        if outcome.is_success:
            row |= {"last_success_at": encode_moment(started_at), "failing_since": None, "failure_count": 0}
            continue
        row |= {
            "last_failure_at": encode_moment(started_at),
            "last_failure_outcome": outcome.kind.value,
            "last_failure_status": outcome.status or None,
        }
        if outcome.kind in PLATFORM_FAILURES:  # shown, but not counted as a failure of the endpoint
            continue
        row["failing_since"] = row.get("failing_since") or encode_moment(started_at)
        row["failure_count"] += 1
    bulk_sql.run_with_rows(connection, _HEALTH, list(health.values()))


def add_rollups(connection: WriteConnection, attempted: list[ClaimedDelivery]) -> None:
    """Add the attempts to the hourly counts by endpoint, outcome and latency."""
    counts = Counter(
        (
            each.endpoint_id,
            _hour(each.started_at),
            each.outcome.kind.value,
            latency_bucket(each.outcome.timings.total_us),
        )
        for each in attempted
    )
    bulk_sql.run_with_rows(
        connection, _ROLLUPS, list(_rollup_rows(counts, bulk_sql.moment_encoder(connection)))
    )


def _rollup_rows(
    counts: Counter[tuple[str, datetime, str, int]], encode_moment: Callable[[datetime], Any]
) -> Iterable[dict[str, Any]]:
    for (endpoint_id, hour_at, outcome, bucket), count in counts.items():
        yield {
            "endpoint_id": endpoint_id,
            "hour_at": encode_moment(hour_at),
            "outcome": outcome,
            "latency_bucket": bucket,
            "count": count,
        }


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
