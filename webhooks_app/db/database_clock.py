"""The database's clock: one for all hosts, however theirs differ."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from webhooks_app.core import clock


def read(connection: Connection) -> datetime:
    """Return the moment by the clock of PostgreSQL's host; SQLite's is the one that we are on."""
    if connection.dialect.name == "sqlite":
        return clock.now()
    moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def compare(connection: Connection) -> tuple[datetime, timedelta]:
    """Return the moment by that clock, and how far this host's is ahead of it."""
    asked_at = clock.now()
    now = read(connection)
    answered_at = clock.now()
    # It was read at some moment between the question and the answer, which a busy host may be seconds apart.
    return now, min(max(now, asked_at), answered_at) - now
