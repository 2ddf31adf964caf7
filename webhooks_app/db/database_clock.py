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
    # It was read halfway between the question and the answer.
    return now, asked_at + (clock.now() - asked_at) / 2 - now
