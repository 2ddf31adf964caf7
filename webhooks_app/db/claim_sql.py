"""The statement that claims due deliveries, in each database's dialect.

It takes a few of the oldest due deliveries of each endpoint in the JSON list :endpoint_ids. Its index on
(endpoint, due time) makes that one probe an endpoint, however many rows wait there.

PostgreSQL locks the rows that it finds and skips those that another worker has locked. SQLite has one write
lock, which the transaction holds already.

A manual attempt whose moment in the schedule has come meanwhile is the scheduled one.
"""

from collections.abc import Sequence

from webhooks_app.db import driver_sql
from webhooks_app.db.driver_sql import DriverStatement
from webhooks_app.db.engines import WriteDatabase

# A claim before this one that was marked with `claimed_at` and left no outcome is an expired lease. A suspect
# is not marked by its claim, but when it is sent: until then the death of its worker says nothing about it.
_EXPIRED_LEASES = "lapses + CASE WHEN claimed_at IS NULL THEN 0 ELSE 1 END"
_CLAIM = f"""
    UPDATE pending_deliveries SET
        next_attempt_at = :lease_ends_at, generation = generation + 1, lapses = {_EXPIRED_LEASES},
        claimed_at = CASE WHEN {_EXPIRED_LEASES} < :leases_to_isolate THEN :now END,
        scheduled_at = CASE WHEN scheduled_at > :now THEN scheduled_at END
    WHERE delivery_id %s
    RETURNING delivery_id, endpoint_id, event_id, generation, tries, lapses, scheduled_at, is_test
"""
# What it takes to send them, as a statement of its own would cost a worker that is idle otherwise as much
# again: on PostgreSQL, that is. SQLite has no round trip to save, and its write lock would be held meanwhile.
# Where one event goes to many endpoints, its body would come many times.
_TO_SEND = """,
        (SELECT e.updated_at FROM endpoints AS e WHERE e.id = pending_deliveries.endpoint_id),
        (SELECT v.body FROM events AS v WHERE v.id = pending_deliveries.event_id)
"""
_OLDEST_DUE = "p.next_attempt_at <= :now ORDER BY p.next_attempt_at LIMIT :quota"

# Those from which anybody may claim now: by what a scan would say of them, but for a rate limit.
_IS_FREE = """ WHERE EXISTS (
        SELECT 1 FROM endpoints AS e LEFT JOIN endpoint_health AS h ON h.endpoint_id = e.id
        WHERE e.id = named.value AND e.rate_per_second IS NULL
        AND (h.rate_free_at IS NULL OR h.rate_free_at <= :now)
        AND NOT (e.is_listener AND e.deleted_at IS NULL)
    )
"""
_DUE_SQLITE = f"""
    SELECT d.delivery_id FROM (SELECT value FROM json_each(:endpoint_ids) AS named%s) AS endpoint
    JOIN pending_deliveries d ON d.delivery_id IN (
        SELECT p.delivery_id FROM pending_deliveries p
        WHERE p.endpoint_id = endpoint.value AND {_OLDEST_DUE}
    )
"""
_DUE_POSTGRESQL = f"""
    SELECT d.delivery_id FROM (
        SELECT value FROM jsonb_array_elements_text(CAST(:endpoint_ids AS jsonb)) AS named%s
    ) AS endpoint
    CROSS JOIN LATERAL (
        SELECT p.delivery_id FROM pending_deliveries p
        WHERE p.endpoint_id = endpoint.value COLLATE "C" AND {_OLDEST_DUE} FOR UPDATE SKIP LOCKED
    ) AS d
"""


def _prepare(condition: str, more_columns: str = "") -> DriverStatement:
    """Return the claim from the endpoints that meet the condition, on PostgreSQL with more columns."""
    return driver_sql.compile_for_drivers(
        {
            "sqlite": _CLAIM % f"IN ({_DUE_SQLITE % condition})",
            # An array is made once. With IN, a planner that takes the queue for empty, as it was when it was
            # last analyzed, looks for what is due anew for each row, and skips each time what it has locked:
            # that claims all that waits, whatever the quota, and takes longer than any time-out.
            "postgresql": _CLAIM % f"= ANY (ARRAY({_DUE_POSTGRESQL % condition}))" + more_columns,
        }
    )


def brings_bodies(database: WriteDatabase) -> bool:
    """Return whether a claim of few brings along what it takes to send them."""
    return database.dialect.name == "postgresql"


# Each by dialect. Binds :endpoint_ids, :quota (deliveries of each), :now, :lease_ends_at, :leases_to_isolate.
CLAIM = _prepare("")
# For few deliveries: on PostgreSQL with the endpoint's moment of change and the event's body.
CLAIM_FEW = _prepare("", _TO_SEND)
# And from such endpoints only as have neither a rate limit nor a pause, which no scan was made for.
CLAIM_UNSCANNED = _prepare(_IS_FREE, _TO_SEND)


def json_list(endpoint_ids: Sequence[str]) -> str:
    """Return the ids as :endpoint_ids takes them."""
    # Ids are our own and hold no character that JSON escapes.
    return '["' + '","'.join(endpoint_ids) + '"]'
