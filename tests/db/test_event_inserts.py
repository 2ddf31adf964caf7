"""Inserts of events: what is stored of each, and in which order those with a key."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from tests.conftest import Workspace
from tests.waiting import wait_for
from webhooks_app.core import clock
from webhooks_app.db import event_inserts, event_values
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.db.models import Delivery, DeliveryState, Event, PendingDelivery
from webhooks_app.extensions import db

WAITING = text("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")


def event_row(workspace: Workspace, name: str, key: str | None = None) -> NewEventRow:
    request_hash = None if key is None else "0" * 64
    body, values = b"{\0\xc3\xbf}", [f"Batch_{name}", "failed", "FAILED"]
    return NewEventRow(f"evt_{name}", workspace.id, "batch-lifecycle", body, key, request_hash, values)


def test_each_event_is_stored_as_it_was_handed_over(workspace: Workspace, database: WriteDatabase) -> None:
    rows = [event_row(workspace, "1"), event_row(workspace, "2", "key"), event_row(workspace, "3")]
    now = clock.now()
    with database.begin() as connection:
        assert event_inserts.insert(connection, rows, now=now) == {row.id for row in rows}

    db.session.rollback()
    stored = db.session.scalars(select(Event).order_by(Event.id)).all()
    columns = NewEventRow._fields[:-1]
    assert [tuple(getattr(each, name) for name in columns) for each in stored] == [row[:-1] for row in rows]
    assert {each.created_at for each in stored} == {now}


def test_each_value_is_indexed_once_and_without_its_case(
    workspace: Workspace, database: WriteDatabase
) -> None:
    with database.begin() as connection:
        event_inserts.insert(connection, [event_row(workspace, "1")], now=clock.now())

    db.session.rollback()
    stored = db.session.get_one(Event, "evt_1")
    assert (stored.first_value, stored.second_value, stored.third_value) == ("batch_1", "failed", None)


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ([], []),
        (["b1"], []),
        (["b1", "failed", "x"], []),
        (["b1", "Failed"], ["b1", "Failed"]),
        (["b1", "b1"], ["b1", "b1"]),
        (["straße"], ["straße"]),
    ],
)
def test_values_that_their_columns_hold_as_they_are_stand_there_alone(
    workspace: Workspace, database: WriteDatabase, values: list[str], listed: list[str]
) -> None:
    shared, apart = (event_row(workspace, name)._replace(indexed_values=values) for name in "12")
    with database.begin() as connection:
        event_inserts.insert(connection, [shared._replace(has_shared_values=True), apart], now=clock.now())

    db.session.rollback()
    stored = [db.session.get_one(Event, each.id) for each in (shared, apart)]
    assert [each.indexed_values for each in stored] == [listed, values]
    for each in stored:
        of_columns = [each.first_value, each.second_value, each.third_value]
        assert event_values.all_of(each.indexed_values, of_columns) == values
    assert event_values.all_of(None, [None, None, None]) is None


def test_of_two_under_one_key_the_earlier_one_stays(workspace: Workspace, database: WriteDatabase) -> None:
    first, again, other = (
        event_row(workspace, name, key) for name, key in (("1", "a"), ("2", "a"), ("3", "b"))
    )
    with database.begin() as connection:
        assert event_inserts.insert(connection, [first], now=clock.now()) == {first.id}
    with database.begin() as connection:
        assert event_inserts.insert(connection, [again, other], now=clock.now()) == {other.id}

    db.session.rollback()
    assert set(db.session.scalars(select(Event.id))) == {first.id, other.id}


def test_only_the_deliveries_of_events_that_are_new_are_inserted(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    rows = [event_row(workspace, name, key) for name, key in (("1", "a"), ("2", "a"), ("3", None))]
    states = DeliveryState.PENDING, DeliveryState.PENDING, DeliveryState.HELD
    new = [
        NewDelivery(f"dlv_{row.id}", workspace.id, endpoint_id, row.id, row.type, state)
        for row, state in zip(rows, states, strict=True)
    ]
    now = clock.now()
    with database.begin() as connection:
        inserted = event_inserts.insert(connection, rows, new, now=now)

        assert event_inserts.insert(connection, [], now=now) == set()

    assert inserted == {"evt_1", "evt_3"}
    db.session.rollback()
    stored = db.session.scalars(select(Delivery).order_by(Delivery.id)).all()
    assert [(each.event_id, each.state, each.next_attempt_at) for each in stored] == [
        ("evt_1", DeliveryState.PENDING, now),
        ("evt_3", DeliveryState.HELD, None),
    ]
    assert {(each.endpoint_id, each.workspace_id, each.event_type, each.created_at) for each in stored} == {
        (endpoint_id, workspace.id, "batch-lifecycle", now)
    }
    [queued] = db.session.scalars(select(PendingDelivery))
    assert (queued.delivery_id, queued.event_id, queued.next_attempt_at) == ("dlv_evt_1", "evt_1", now)


def test_deliveries_are_tests_where_that_is_said(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    for name, told in (("1", {}), ("2", {"is_test": True}), ("3", {"is_test": False})):
        row = event_row(workspace, name)
        state = DeliveryState.PENDING
        new = NewDelivery(f"dlv_{name}", workspace.id, endpoint_id, row.id, row.type, state)
        with database.begin() as connection:
            event_inserts.insert(connection, [row], [new], now=clock.now(), **told)

    db.session.rollback()
    stored = db.session.execute(select(Delivery.id, Delivery.is_test).order_by(Delivery.id))
    assert [tuple(row) for row in stored] == [("dlv_1", False), ("dlv_2", True), ("dlv_3", False)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_transactions_with_the_same_keys_do_not_wait_for_each_other(
    workspace: Workspace, database: WriteDatabase
) -> None:
    def insert_turned() -> set[str]:
        rows = [event_row(workspace, name, key) for name, key in (("3", "b"), ("4", "a"))]
        with database.begin() as connection:
            return event_inserts.insert(connection, rows, now=clock.now())

    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection:
            event_inserts.insert(connection, [event_row(workspace, "1", "a")], now=clock.now())
            turned = pool.submit(insert_turned)
            wait_for(lambda: connection.scalar(WAITING))
            event_inserts.insert(connection, [event_row(workspace, "2", "b")], now=clock.now())
        assert turned.result() == set()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_delivery_is_looked_up_in_no_other_table(workspace: Workspace) -> None:
    checks = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'deliveries'::regclass"
    assert db.session.scalars(text(checks)).all() == []
