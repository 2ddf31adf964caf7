"""Claiming: taking due deliveries for this process, fairly across endpoints.

`lanes` steps from endpoint to endpoint by the index on (endpoint, due time), one probe each, so a claim costs
the same however many rows wait at one endpoint. `take` then claims a few rows of each lane.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, TextClause, bindparam, column, text

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models.base import UtcDateTime

# Endpoints that one look steps over; the next goes on behind them.
LANES_PER_LOOK = 1000


# A process may hold two claims of one delivery, if the lease of the first ran out before its outcome came.
Key = tuple[str, int]


@dataclass(slots=True, frozen=True)
class Claim:
    delivery_id: str
    endpoint_id: str
    event_id: str
    generation: int
    tries: int
    lapses: int

    @property
    def key(self) -> Key:
        return self.delivery_id, self.generation


_LANES = text("""
    WITH RECURSIVE lane (endpoint_id) AS (
        SELECT * FROM (
            SELECT endpoint_id FROM pending_deliveries WHERE endpoint_id > :after ORDER BY endpoint_id LIMIT 1
        ) AS first
        UNION ALL
        SELECT (
            SELECT p.endpoint_id FROM pending_deliveries p
            WHERE p.endpoint_id > lane.endpoint_id ORDER BY p.endpoint_id LIMIT 1
        ) FROM lane WHERE lane.endpoint_id IS NOT NULL
    )
    SELECT endpoint_id, (
        SELECT min(p.next_attempt_at) FROM pending_deliveries p WHERE p.endpoint_id = lane.endpoint_id
    ) AS due_at, (
        SELECT h.rate_free_at FROM endpoint_health h WHERE h.endpoint_id = lane.endpoint_id
    ) AS free_at, e.rate_per_second
    FROM lane JOIN endpoints e ON e.id = lane.endpoint_id LIMIT :count
""").columns(
    column("endpoint_id"),
    column("due_at", UtcDateTime),
    column("free_at", UtcDateTime),
    column("rate_per_second"),
)

# A claim whose worker died is sent again among others once (workers die for many reasons), then alone, so
# that one that kills its workers takes no other with it. Until its turn comes a suspect is held by its lease
# but not marked as claimed: the death of its worker counts against it only while it is really being sent.
LAPSES_TO_SEND_ALONE = 2

_LAPSES = "lapses + CASE WHEN claimed_at IS NULL THEN 0 ELSE 1 END"
_TAKEN = f"""
    next_attempt_at = :lease_ends_at, generation = generation + 1, lapses = {_LAPSES},
    claimed_at = CASE WHEN {_LAPSES} < {LAPSES_TO_SEND_ALONE} THEN :now END
"""
_COLUMNS = "delivery_id, endpoint_id, event_id, generation, tries, lapses"
_DUE = "p.next_attempt_at <= :now ORDER BY p.next_attempt_at LIMIT :room"

_TAKE_SQLITE = f"""
    UPDATE pending_deliveries SET {_TAKEN} WHERE delivery_id IN (
        SELECT d.delivery_id FROM json_each(:lanes) AS lane JOIN pending_deliveries d ON d.delivery_id IN (
            SELECT p.delivery_id FROM pending_deliveries p WHERE p.endpoint_id = lane.value AND {_DUE}
        )
    ) RETURNING {_COLUMNS}
"""
_TAKE_POSTGRESQL = f"""
    UPDATE pending_deliveries SET {_TAKEN} WHERE delivery_id IN (
        SELECT d.delivery_id FROM jsonb_array_elements_text(CAST(:lanes AS jsonb)) AS lane
        CROSS JOIN LATERAL (
            SELECT p.delivery_id FROM pending_deliveries p
            WHERE p.endpoint_id = lane.value COLLATE "C" AND {_DUE} FOR UPDATE SKIP LOCKED
        ) AS d
    ) RETURNING {_COLUMNS}
"""


def _with_times(statement: str) -> TextClause:
    return text(statement).bindparams(
        bindparam("now", type_=UtcDateTime), bindparam("lease_ends_at", type_=UtcDateTime)
    )


_TAKE = {"sqlite": _with_times(_TAKE_SQLITE), "postgresql": _with_times(_TAKE_POSTGRESQL)}


class DueEndpoint(NamedTuple):
    """An endpoint with pending deliveries: when the first falls due, when its rate limit lets the next go,
    and that limit in requests a second."""

    endpoint_id: str
    due_at: datetime
    free_at: datetime | None
    rate_per_second: int | None


def scan(connection: Connection, *, after: str, count: int | None = None) -> list[DueEndpoint]:
    """The lanes behind the endpoint `after`, by endpoint id."""
    rows = connection.execute(_LANES, {"after": after, "count": count or LANES_PER_LOOK}).all()
    return [DueEndpoint(*row) for row in rows]


def take(connection: Connection, rooms: Mapping[str, int], *, now: datetime, lease: timedelta) -> list[Claim]:
    """Claims up to `rooms[endpoint]` due deliveries of each endpoint, oldest first. The caller commits.

    A lease that ends early means a duplicate; one that ends late means that a crash delays its deliveries.
    """
    statement = _TAKE[connection.dialect.name]
    claims: list[Claim] = []
    by_room = sorted(rooms.items(), key=lambda item: item[1])
    for room, group in groupby(by_room, key=lambda item: item[1]):
        names = [endpoint_id for endpoint_id, _ in group]
        values = {"lanes": _json_list(names), "room": room, "now": now, "lease_ends_at": now + lease}
        claims += [Claim(*row) for row in connection.execute(statement, values).all()]
    return claims


_HAND_BACK = text("""
    UPDATE pending_deliveries SET next_attempt_at = :now, claimed_at = NULL
    WHERE delivery_id = :id AND generation = :generation
""").bindparams(bindparam("now", type_=UtcDateTime))


def release(database: WriteDatabase, claims: list[Claim], *, now: datetime) -> None:
    """Makes claimed deliveries due again at once, as a worker does that has to stop."""
    _update_each(database, _HAND_BACK, claims, now=now)


_MARK = text("""
    UPDATE pending_deliveries SET claimed_at = :now WHERE delivery_id = :id AND generation = :generation
""").bindparams(bindparam("now", type_=UtcDateTime))


def mark_claimed(database: WriteDatabase, claim: Claim, *, now: datetime) -> bool:
    """Marks a suspect as claimed, now that its turn has come; False when it was overtaken meanwhile."""
    values = {"id": claim.delivery_id, "generation": claim.generation, "now": now}
    with database.begin() as connection:
        return connection.execute(_MARK, values).rowcount == 1


def _update_each(
    database: WriteDatabase, statement: TextClause, claims: list[Claim], **values: datetime
) -> None:
    rows = [{"id": claim.delivery_id, "generation": claim.generation} | values for claim in claims]
    if rows:
        with database.begin() as connection:
            connection.execute(statement, rows)


def _json_list(ids: list[str]) -> str:
    # Ids are our own and hold no character that JSON escapes.
    return '["' + '","'.join(ids) + '"]'
