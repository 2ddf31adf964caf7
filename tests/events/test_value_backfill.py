"""Events that the previous version accepted get their values, while others are accepted and deleted."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from tests.conftest import Workspace
from tests.worker.attempted import damage, exchange
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Event, ValueBackfill
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.events import value_backfill
from webhooks_app.events.catalog import load
from webhooks_app.events.value_backfill import BackfillLimits
from webhooks_app.extensions import db

CATALOG = load()

SMALL = BackfillLimits(batch_rows=2, pause_share=0)


@pytest.fixture
def old_events(workspace: Workspace, database: WriteDatabase) -> list[str]:
    """As the previous version left them, and the migration after it."""
    sent = [*workspace.send(3, batch_id="Batch_1"), *workspace.send(2, batch_id="batch_2")]
    forget(database, sent)
    start_backfill(database, until=clock.now() + timedelta(days=1))
    return sorted(sent)


def start_backfill(database: WriteDatabase, *, until: datetime) -> None:
    with database.begin() as connection:
        connection.execute(insert(ValueBackfill).values(until=ids.floor("evt", until), position=""))


def forget(database: WriteDatabase, event_ids: list[str]) -> None:
    """As the previous version, which stored none."""
    nothing = dict.fromkeys(("indexed_values", *VALUE_COLUMNS))
    with database.begin() as connection:
        connection.execute(update(Event).where(Event.id.in_(event_ids)).values(nothing))


def indexed() -> dict[str, set[str]]:
    """The values, by event."""
    db.session.rollback()
    columns = [getattr(Event, name) for name in VALUE_COLUMNS]
    rows = db.session.execute(select(Event.id, *columns)).all()
    return {row.id: set(row[1:]) - {None} for row in rows if any(row[1:])}


def test_a_damaged_body_keeps_no_other_event_from_its_values(
    databases: Databases, database: WriteDatabase, old_events: list[str]
) -> None:
    damage(database, old_events[0])
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)
    assert set(indexed()) == set(old_events[1:])


def test_no_event_gets_the_values_of_another_whose_body_it_has(
    databases: Databases, database: WriteDatabase, old_events: list[str]
) -> None:
    exchange(database, old_events[0], old_events[4])
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)
    assert set(indexed()) == set(old_events[1:4])


def test_old_events_get_what_new_ones_have(
    workspace: Workspace, databases: Databases, old_events: list[str]
) -> None:
    [new] = workspace.send(1, batch_id="batch_3", status="failed")
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)

    expected = {each: {"batch_1", "succeeded"} for each in old_events[:3]}
    expected |= {each: {"batch_2", "succeeded"} for each in old_events[3:]} | {new: {"batch_3", "failed"}}
    assert indexed() == expected
    oldest = select(Event.indexed_values).where(Event.id == old_events[0])
    assert db.session.scalar(oldest) == ["Batch_1", "succeeded"]


def test_a_run_that_was_stopped_goes_on_where_it_was(databases: Databases, old_events: list[str]) -> None:
    steps = iter([False, True])
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL, should_stop=lambda: next(steps))
    assert sorted(indexed()) == old_events[:2]

    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)
    assert sorted(indexed()) == old_events


def test_it_waits_for_the_events_of_an_upgrade_that_rolls_and_then_ends(
    workspace: Workspace, database: WriteDatabase, databases: Databases, old_events: list[str]
) -> None:
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)
    assert value_backfill.is_due(databases.read)
    [late] = workspace.send()
    forget(database, [late])
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)
    assert late in indexed()

    past = ids.floor("evt", clock.now() - timedelta(seconds=1))
    with database.begin() as connection:
        connection.execute(update(ValueBackfill).values(until=past))
    value_backfill.run_all(databases, CATALOG.indexed_values, limits=SMALL)
    assert not value_backfill.is_due(databases.read)
