"""Rate limits and pauses of endpoints, across all workers: a row each says when the next request may go.

A claim takes up to a tenth of a second's worth and moves the row on by what it took, so the rate holds
exactly over any longer time and bursts stay small.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, text

from webhooks_app.db import bulk_sql
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.worker.claims import Claim

BURST_SECONDS = 0.1
# Where another worker had the turn, this one asks again after that.
LOST_RESERVATION_DELAY = timedelta(milliseconds=20)

# No limit and no pause reaches as far into the future; a clock that was ahead may have.
FARTHEST = timedelta(seconds=90)

# The row stays locked until the claim commits: the second of two workers waits, and finds it moved on.
_RESERVE = text("""
    UPDATE endpoint_health SET rate_free_at = :now
    WHERE endpoint_id = :id AND (rate_free_at IS NULL OR rate_free_at <= :now OR rate_free_at > :farthest)
    RETURNING endpoint_id
""").bindparams(bindparam("now", type_=UtcDateTime), bindparam("farthest", type_=UtcDateTime))
_SPEND = text("UPDATE endpoint_health SET rate_free_at = :free_at WHERE endpoint_id = :id").bindparams(
    bindparam("free_at", type_=UtcDateTime)
)

_PAUSE = bulk_sql.prepare(
    """
    UPDATE endpoint_health SET rate_free_at = {greatest}(coalesce(rate_free_at, r.until), r.until)
    FROM {rows} WHERE endpoint_health.endpoint_id = r.id
    """,
    {"id": "text", "until": "timestamptz"},
)


def reserve(
    connection: Connection, rooms: Mapping[str, int], limits: Mapping[str, int], *, now: datetime
) -> dict[str, int]:
    """`rooms`, cut to what each endpoint in `limits` (requests a second) may send now."""
    allowed = {name: room for name, room in rooms.items() if name not in limits}
    for name in sorted(set(rooms) & set(limits)):  # one order for all workers, against deadlocks
        if connection.execute(_RESERVE, {"id": name, "now": now, "farthest": now + FARTHEST}).first():
            allowed[name] = min(rooms[name], max(1, int(limits[name] * BURST_SECONDS)))
    return allowed


def spend(
    connection: Connection, taken: list[Claim], limits: Mapping[str, int], *, now: datetime
) -> dict[str, datetime]:
    """Moves on the endpoints in `limits` by what was claimed of them; when each may be claimed of again."""
    counts = Counter(claim.endpoint_id for claim in taken if claim.endpoint_id in limits)
    free_at = {name: now + timedelta(seconds=count / limits[name]) for name, count in counts.items()}
    for name in sorted(free_at):
        connection.execute(_SPEND, {"id": name, "free_at": free_at[name]})
    return dict.fromkeys(limits, now + LOST_RESERVATION_DELAY) | free_at


def pause_endpoints(connection: Connection, until: Mapping[str, datetime]) -> None:
    """Leaves the endpoints, whose health is on record, alone until then."""
    if until:
        moment = bulk_sql.moments(connection)
        bulk_sql.run(
            connection, _PAUSE, [{"id": name, "until": moment(until[name])} for name in sorted(until)]
        )
