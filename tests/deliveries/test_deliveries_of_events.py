"""The deliveries of events are found by their events, however many others there are."""

import pytest
from sqlalchemy import select, text

from tests.conftest import Workspace
from tests.deliveries.test_retention import plan
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Delivery, Event
from webhooks_app.deliveries import deliveries_of_events
from webhooks_app.extensions import db

_EVENTS = """
    INSERT INTO events SELECT (jsonb_populate_record(e, jsonb_build_object('id', 'evt_' || 1000 + n))).*
    FROM events e, generate_series(1, 300) n
"""
_COLUMNS = ", ".join(each.name for each in Delivery.metadata.tables["deliveries"].c if each.computed is None)
_DELIVERIES = f"""
    INSERT INTO deliveries ({_COLUMNS}) SELECT {_COLUMNS} FROM (
        SELECT (jsonb_populate_record(d, jsonb_build_object(
            'id', 'dlv_' || 1000000 + n * 100 + m, 'event_id', 'evt_' || 1000 + n))).*
        FROM deliveries d, generate_series(1, 300) n, generate_series(0, 99) m
    ) AS made
"""


def test_each_is_met_once_in_chunks(workspace: Workspace, databases: Databases) -> None:
    for _ in range(5):
        workspace.endpoint("http://127.0.0.1:9/")
    workspace.send(4)
    *named, _other = db.session.scalars(select(Event.id).order_by(Event.id))
    theirs = select(Delivery.id).where(Delivery.event_id.in_(named))
    expected = sorted(db.session.scalars(theirs))
    db.session.rollback()

    chunks = list(deliveries_of_events.walk(databases.read, named, chunk_rows=3))
    assert [len(each) for each in chunks] == [3, 3, 3, 3, 3]
    assert sorted(each for chunk in chunks for each in chunk) == expected
    nothing = deliveries_of_events.walk(databases.read, named, Delivery.state == "canceled", chunk_rows=3)
    assert list(nothing) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("count", [1, 100])
def test_no_walk_of_the_log_finds_them_where_each_event_has_many(
    workspace: Workspace, database: WriteDatabase, count: int
) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    workspace.send()
    with database.without_time_limit().begin() as connection:
        for statement in (_EVENTS, _DELIVERIES, "ANALYZE deliveries"):
            connection.execute(text(statement))
    named = [f"evt_{1300 - n}" for n in range(count)]
    page = deliveries_of_events.page(sorted(named), ("", "")).limit(100)
    compiled = page.compile(dialect=database.dialect, compile_kwargs={"literal_binds": True})

    lines = plan(database, str(compiled), None)
    assert any("ix_deliveries_by_event_part" in line for line in lines), lines
    assert not any("pk_deliveries" in line for line in lines), lines
