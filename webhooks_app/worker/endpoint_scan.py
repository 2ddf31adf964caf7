"""The scan that finds the endpoints which have pending deliveries, in stretches by endpoint id."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, column, text

from webhooks_app.db.loose_index_scan import EARLIEST_DUE_AT, PENDING_ENDPOINTS
from webhooks_app.db.models.base import UtcDateTime

# No join: as a hash join it would find all of them before the first, and in no order.
_SCAN = text(f"""
    {PENDING_ENDPOINTS}
    SELECT endpoint_id, {EARLIEST_DUE_AT} AS due_at, (
        SELECT h.rate_free_at FROM endpoint_health h WHERE h.endpoint_id = pending_endpoint.endpoint_id
    ) AS free_at, (
        SELECT e.rate_per_second FROM endpoints e WHERE e.id = pending_endpoint.endpoint_id
    ) AS rate_per_second
    FROM pending_endpoint WHERE (
        SELECT NOT (e.is_listener AND e.deleted_at IS NULL)
        FROM endpoints e WHERE e.id = pending_endpoint.endpoint_id
    ) LIMIT :count
""").columns(
    column("endpoint_id"),
    column("due_at", UtcDateTime),
    column("free_at", UtcDateTime),
    column("rate_per_second"),
)


class DueEndpoint(NamedTuple):
    """An endpoint with pending deliveries: when the first falls due, when its rate limit or pause lets the
    next go, and that limit in requests a second."""

    endpoint_id: str
    due_at: datetime
    free_at: datetime | None
    rate_per_second: int | None


def scan(connection: Connection, *, after: str, count: int) -> list[DueEndpoint]:
    """Return up to `count` endpoints that have pending deliveries, behind the id `after`, by id.

    What waits at a listener is fetched from there; once that has ended, it is a worker's to cancel.
    """
    rows = connection.execute(_SCAN, {"after": after, "count": count}).all()
    return [DueEndpoint(*row) for row in rows]
