"""Claims of due deliveries: each has a lease, after which it is due again unless its outcome is recorded."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import bindparam, text

from webhooks_app.db import claim_sql, driver_sql, event_bodies
from webhooks_app.db.claim_sql import CLAIM
from webhooks_app.db.column_types import of_driver
from webhooks_app.db.driver_sql import DriverStatement
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.worker.claimed_delivery import EXPIRED_LEASES_TO_ISOLATE, ClaimedDelivery

_RELEASE = text("""
    UPDATE pending_deliveries SET next_attempt_at = :due_at, claimed_at = NULL
    WHERE delivery_id = :id AND generation = :generation
""").bindparams(bindparam("due_at", type_=UtcDateTime))

_MARK_CLAIMED = text("""
    UPDATE pending_deliveries SET claimed_at = :now WHERE delivery_id = :id AND generation = :generation
""").bindparams(bindparam("now", type_=UtcDateTime))


def claim_due(
    connection: WriteConnection,
    quotas: Mapping[str, int],
    *,
    now: datetime,
    lease: timedelta,
    leases_to_isolate: int = EXPIRED_LEASES_TO_ISOLATE,
    statement: DriverStatement = CLAIM,
) -> list[ClaimedDelivery]:
    """Claim up to `quotas[endpoint_id]` due deliveries of each endpoint, oldest first. The caller commits.

    A lease that ends early means a duplicate; one that ends late means that a crash delays its deliveries.
    After so many expired leases, a claim is marked only when its delivery is sent. The `statement` is
    one of the kinds of `claim_sql`.
    """
    values = {"now": now, "lease_ends_at": now + lease, "leases_to_isolate": leases_to_isolate}
    claimed: list[ClaimedDelivery] = []
    # One statement for each size of quota, as LIMIT takes no column; see `Concurrency.quotas`.
    for quota, group in groupby(sorted(quotas.items(), key=itemgetter(1)), key=itemgetter(1)):
        endpoint_ids = claim_sql.json_list([endpoint_id for endpoint_id, _ in group])
        rows = driver_sql.fetch_all(
            connection, statement, values | {"endpoint_ids": endpoint_ids, "quota": quota}
        )
        claimed += map(_claimed, rows)
    return claimed


def _claimed(row: tuple[Any, ...]) -> ClaimedDelivery:
    claimed = ClaimedDelivery(*row)
    claimed.scheduled_at = of_driver(claimed.scheduled_at)
    claimed.changed_at = of_driver(claimed.changed_at)
    if claimed.body is not None:
        claimed.body = event_bodies.of_event(claimed.event_id, event_bodies.read(claimed.body))
    return claimed


def release(database: WriteDatabase, claimed: list[ClaimedDelivery], *, due_at: datetime) -> None:
    """Make claimed deliveries due again, except those that were claimed again meanwhile."""
    rows = [{"id": each.delivery_id, "generation": each.generation, "due_at": due_at} for each in claimed]
    if rows:
        with database.begin() as connection:
            connection.execute(_RELEASE, rows)


def begin_lease(database: WriteDatabase, suspect: ClaimedDelivery, *, now: datetime) -> bool:
    """Mark a suspect as claimed, just before it is sent; return False if it was claimed again meanwhile."""
    values = {"id": suspect.delivery_id, "generation": suspect.generation, "now": now}
    with database.begin() as connection:
        return connection.execute(_MARK_CLAIMED, values).rowcount == 1
