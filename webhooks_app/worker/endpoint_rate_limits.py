"""Rate limits and pauses of endpoints, across all workers: each one's row says when its next request may go.

A claim takes up to a tenth of a second's worth of requests and moves that time on by as much, so the rate
holds exactly over any longer time and bursts stay small.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import bindparam, text

from webhooks_app.db import bulk_sql
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

QUOTA_SECONDS = 0.1
# When another worker has reserved the next requests, this one asks again after this time.
LOST_RESERVATION_DELAY = timedelta(milliseconds=20)

# No limit and no pause reaches farther into the future; a clock that was ahead may have written such a time.
LONGEST_WAIT = timedelta(seconds=90)

# The row stays locked until the claim commits: the second of two workers waits, and finds it moved on.
_RESERVE = text("""
    UPDATE endpoint_health SET rate_free_at = :now
    WHERE endpoint_id = :id AND (rate_free_at IS NULL OR rate_free_at <= :now OR rate_free_at > :latest)
    RETURNING endpoint_id
""").bindparams(bindparam("now", type_=UtcDateTime), bindparam("latest", type_=UtcDateTime))
_SPEND = text("UPDATE endpoint_health SET rate_free_at = :free_at WHERE endpoint_id = :id").bindparams(
    bindparam("free_at", type_=UtcDateTime)
)

_PAUSE = bulk_sql.prepare_with_rows(
    """
    UPDATE endpoint_health SET rate_free_at = {greatest}(coalesce(rate_free_at, r.until), r.until)
    FROM {rows} WHERE endpoint_health.endpoint_id = r.id
    """,
    {"id": "text", "until": "timestamptz"},
)


def reserve(
    connection: WriteConnection, quotas: Mapping[str, int], rates: Mapping[str, int], *, now: datetime
) -> dict[str, int]:
    """Return `quotas`, cut to what each endpoint in `rates` (requests a second) may be sent now."""
    allowed = {name: quota for name, quota in quotas.items() if name not in rates}
    for name in sorted(set(quotas) & set(rates)):  # one order for all workers, against deadlocks
        if connection.execute(_RESERVE, {"id": name, "now": now, "latest": now + LONGEST_WAIT}).first():
            allowed[name] = min(quotas[name], max(1, int(rates[name] * QUOTA_SECONDS)))
    return allowed


def spend(
    connection: WriteConnection, claimed: list[ClaimedDelivery], rates: Mapping[str, int], *, now: datetime
) -> dict[str, datetime]:
    """Count what was claimed against the rates; return when each endpoint in `rates` is free again."""
    if not rates:
        return {}
    counts = Counter(each.endpoint_id for each in claimed if each.endpoint_id in rates)
    free_at = {name: now + timedelta(seconds=count / rates[name]) for name, count in counts.items()}
    for name in sorted(free_at):
        connection.execute(_SPEND, {"id": name, "free_at": free_at[name]})
    return dict.fromkeys(rates, now + LOST_RESERVATION_DELAY) | free_at


def store_pauses(connection: WriteConnection, until: Mapping[str, datetime]) -> None:
    """Let no worker claim from the endpoints until the moments given. Their health must be on record."""
    if until:
        encode_moment = bulk_sql.moment_encoder(connection)
        bulk_sql.run_with_rows(
            connection, _PAUSE, [{"id": name, "until": encode_moment(until[name])} for name in sorted(until)]
        )
