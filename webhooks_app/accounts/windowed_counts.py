"""How often something happened lately, such as a wrong log-in, by a key and within a window of time.

A window begins with the first that is counted in it. All are in one table, whose rows retention deletes once
their windows are over.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, case, literal, or_, select

from webhooks_app.db import upsert
from webhooks_app.db.models import LogInTries
from webhooks_app.db.write_connection import WriteConnection


@dataclass(frozen=True, slots=True)
class WindowedLimit:
    """At most `limit` within a window under `key`; without `counts` it is checked and not used up."""

    key: str
    limit: int
    counts: bool = True


def key_of(*parts: str) -> str:
    """Return a key of one length that shows nothing of its parts, such as an e-mail address."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def take(
    connection: WriteConnection, allowance: WindowedLimit, now: datetime, window: timedelta, *, count: int = 1
) -> bool:
    """Use up `count` of the allowance; return False, and use up nothing, where it is spent already.

    The last one may overshoot, so that what comes in pieces of any size is counted as a whole.
    """
    if not allowance.counts:
        return seconds_left(connection, allowance, now) == 0
    resets_at = now + window
    is_over = LogInTries.resets_at <= now
    return upsert.insert_or_change(
        connection,
        LogInTries,
        {"key": allowance.key, "tries": count, "resets_at": resets_at},
        key=["key"],
        changes={
            "tries": case((is_over, count), else_=LogInTries.tries + count),
            "resets_at": case(
                (is_over, literal(resets_at, LogInTries.resets_at.type)), else_=LogInTries.resets_at
            ),
        },
        where=or_(is_over, LogInTries.tries < allowance.limit),
    )


def seconds_left(connection: Connection, allowance: WindowedLimit, now: datetime) -> int:
    """Return in how many seconds there is something again of a spent allowance; 0 where there is now."""
    is_full = LogInTries.key == allowance.key, LogInTries.resets_at > now, LogInTries.tries >= allowance.limit
    resets_at = connection.scalar(select(LogInTries.resets_at).where(*is_full))
    return 0 if resets_at is None else max(1, int((resets_at - now).total_seconds()) + 1)
