"""What API tokens with a rate limit have left of it, in the database: one allowance for all processes.

A row says when the token's bucket will be full again, by the database's clock; what is there now follows from
that (a token bucket, kept as the generic cell rate algorithm keeps it). So nothing has to fill the buckets,
and hosts whose clocks differ agree.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db import database_clock, upsert
from webhooks_app.db.dialect_sql import shorten_lock_timeout
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import TokenAllowance
from webhooks_app.db.write_connection import WriteConnection

_LOCK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Grant:
    """What was taken of an allowance, and how much is left of it."""

    taken: int
    left: float


def take(database: WriteDatabase, token_id: str, limit: RateLimit, *, least: int, most: int) -> Grant:
    """Take up to `most` events of the token's allowance, at least `least` or else none.

    Raises OperationalError soon where another process holds the row: nobody else's events may wait for that.
    """
    with database.begin() as connection:
        shorten_lock_timeout(connection, _LOCK_SECONDS)
        full_at = _lock(connection, token_id)
        now = database_clock.read(connection)  # once the row is ours
        grant, full_at = decide(full_at, now, limit, least=least, most=most)
        if grant.taken:
            row = update(TokenAllowance).where(TokenAllowance.token_id == token_id)
            connection.execute(row.values(full_at=full_at))
    return grant


def record_refusal(database: WriteDatabase, token_id: str) -> None:
    """Record that a request of the token was refused just now."""
    with database.begin() as connection:
        row = update(TokenAllowance).where(TokenAllowance.token_id == token_id)
        connection.execute(row.values(refused_at=database_clock.read(connection)))


def decide(
    full_at: datetime, now: datetime, limit: RateLimit, *, least: int, most: int
) -> tuple[Grant, datetime]:
    """Return what is taken of a bucket that would be full at `full_at`, and when it will be then. Pure."""
    fills_in = timedelta(seconds=limit.burst / limit.per_second)
    # A clock that was ahead may have written any time; and an allowance may have become smaller.
    full_at = min(max(full_at, now), now + fills_in)
    left = limit.burst - (full_at - now).total_seconds() * limit.per_second
    # Moments have microseconds, so that one which fits may seem to miss by a rounding.
    taken = min(most, int(left + limit.per_second / 1_000_000))
    if taken < least:
        return Grant(0, left), full_at
    return Grant(taken, left - taken), full_at + timedelta(seconds=taken / limit.per_second)


def _lock(connection: WriteConnection, token_id: str) -> datetime:
    """Return when the allowance is full, with its row locked; one that was not used before is full now."""
    statement = select(TokenAllowance.full_at).where(TokenAllowance.token_id == token_id).with_for_update()
    found: datetime | None = connection.scalar(statement)
    if found is None:
        row = {"token_id": token_id, "full_at": database_clock.read(connection)}
        upsert.insert_if_new(connection, TokenAllowance, row)
        found = connection.execute(statement).scalar_one()
    return found
