"""A row that may be there already is inserted once, or changed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import select

from webhooks_app.core import clock
from webhooks_app.db import upsert
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Heartbeat
from webhooks_app.extensions import db


def test_a_row_is_inserted_once_however_many_try(database: WriteDatabase) -> None:
    now = clock.now()

    def insert(_: int) -> bool:
        with database.begin() as connection:
            return upsert.insert_if_new(connection, Heartbeat, {"name": "test", "at": now})

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(insert, range(4))) == [False, False, False, True]


def test_what_is_there_keeps_its_values_or_gets_the_new_ones(database: WriteDatabase) -> None:
    first = clock.now()
    later = first + timedelta(seconds=1)
    with database.begin() as connection:
        upsert.insert_or_update(connection, Heartbeat, {"name": "test", "at": first}, key=["name"])
        assert not upsert.insert_if_new(connection, Heartbeat, {"name": "test", "at": later})
        assert connection.scalar(select(Heartbeat.at)) == first
        upsert.insert_or_update(connection, Heartbeat, {"name": "test", "at": later}, key=["name"])

    assert db.session.scalars(select(Heartbeat.at)).all() == [later]


def test_a_change_waits_for_its_condition(database: WriteDatabase) -> None:
    first = clock.now()

    def move(moment: datetime) -> bool:
        with database.begin() as connection:
            return upsert.insert_or_change(
                connection,
                Heartbeat,
                {"name": "test", "at": moment},
                key=["name"],
                changes={"at": moment},
                where=Heartbeat.at < moment,
            )

    assert move(first)
    assert not move(first)
    assert move(first + timedelta(seconds=1))
    assert not move(first)
    assert db.session.scalars(select(Heartbeat.at)).all() == [first + timedelta(seconds=1)]
