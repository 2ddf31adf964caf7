"""The deliveries of some events, found by the index of their events."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Select, and_, or_, select

from webhooks_app.db.engines import ReadDatabase
from webhooks_app.db.event_conditions import of_events
from webhooks_app.db.models import Delivery

# An event may have a hundred thousand deliveries, which each chunk is sorted out of; so there are few.
CHUNK_ROWS = 10_000


def walk(
    database: ReadDatabase,
    event_ids: Sequence[str],
    *conditions: ColumnElement[bool],
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[list[str]]:
    """Yield the ids of those of the events' deliveries that meet the conditions, in chunks.

    Each chunk is read in a transaction of its own, which ends before it is yielded.
    """
    left, after = sorted(event_ids), ("", "")
    while left:
        with database.connect() as connection:
            rows = connection.execute(page(left, after, *conditions).limit(chunk_rows)).all()
        if rows:
            yield [row.id for row in rows]
        if len(rows) < chunk_rows:
            return
        after = (rows[-1].event_id, rows[-1].id)
        left = [each for each in left if each >= after[0]]


def batches(
    database: ReadDatabase, event_id: str, batch_rows: int, *conditions: ColumnElement[bool]
) -> Iterator[list[str]]:
    """Yield the ids of the event's deliveries that meet the conditions, `batch_rows` at a time at most."""
    for chunk in walk(database, [event_id], *conditions):
        for start in range(0, len(chunk), batch_rows):
            yield chunk[start : start + batch_rows]


def page(
    event_ids: Sequence[str], after: tuple[str, str], *conditions: ColumnElement[bool]
) -> Select[str, str]:
    """Return what selects the deliveries behind that event and delivery."""
    event_id, delivery_id = after
    is_behind = or_(
        Delivery.event_id > event_id, and_(Delivery.event_id == event_id, Delivery.id > delivery_id)
    )
    found = select(Delivery.id, Delivery.event_id).where(of_events(event_ids), *conditions)
    # OFFSET keeps PostgreSQL from reading the primary key, in whose order they are wanted, until enough of
    # these events have come: the whole log, where they lie at its end or have none.
    theirs = found.where(is_behind).offset(0).subquery()
    return select(theirs.c.id, theirs.c.event_id).order_by(theirs.c.event_id, theirs.c.id)
