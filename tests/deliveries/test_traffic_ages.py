"""Sums of attempts as they age."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Facet, TrafficCount
from webhooks_app.deliveries import traffic_ages
from webhooks_app.extensions import db

NOW = datetime(2026, 3, 10, 12, 34, tzinfo=UTC)
HOUR = datetime(2026, 3, 10, 9, tzinfo=UTC)


def seed(database: WriteDatabase, *some: tuple[datetime, int, str, int, int]) -> None:
    rows = [
        {"scope_id": "ep_1", "facet": Facet.RESPONSE, "starts_at": at, "minutes": minutes, "name": name}
        | {"count": count, "failed": failed}
        for at, minutes, name, count, failed in some
    ]
    with database.begin() as connection:
        connection.execute(insert(TrafficCount), rows)


def kept() -> set[tuple[datetime, int, str, int, int]]:
    db.session.rollback()
    db.session.expire_all()
    rows = db.session.scalars(select(TrafficCount))
    return {(row.starts_at, row.minutes, row.name, row.count, row.failed) for row in rows}


def test_old_slots_are_added_to_their_hours_and_young_ones_stay(database: WriteDatabase) -> None:
    young = (HOUR + timedelta(hours=1), 5, "200", 7, 0)
    slots = [
        (HOUR + timedelta(minutes=5 * n), 5, name, n, 0 if name == "200" else n)
        for n in range(1, 12)
        for name in ("200", "404")
    ]
    seed(database, young, (HOUR, 60, "200", 100, 0), *slots)

    # In more than one transaction, of which each meets an hour of the one before.
    assert traffic_ages.roll_up(database, now=NOW, batch_rows=5) == len(slots)
    assert kept() == {young, (HOUR, 60, "200", 166, 0), (HOUR, 60, "404", 66, 66)}
    assert traffic_ages.roll_up(database, now=NOW) == 0


def test_hours_that_no_chart_reaches_are_deleted(database: WriteDatabase) -> None:
    old, young = NOW - timedelta(days=33), NOW - timedelta(days=31)
    seed(database, (old, 60, "200", 1, 0), (old, 60, "404", 1, 1), (young, 60, "200", 1, 0))

    assert traffic_ages.delete_old(database, now=NOW, batch_rows=1) == 2
    assert db.session.scalar(select(func.count()).select_from(TrafficCount)) == 1
