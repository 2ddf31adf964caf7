"""The small index of an event's deliveries tells events apart no worse than one of whole ids does."""

from typing import Any

import pytest
from sqlalchemy import insert, select, text

from tests.conftest import Workspace
from tests.statements import noted_statements
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.event_conditions import of_event, of_events, part_of
from webhooks_app.db.models import Delivery, DeliveryState, Event

# The first two share the characters that the index has.
SAME, TWIN = "evt_06h1f25lclt04vbbpdftu762c", "evt_06h1f25lclt04vbbpdftu762d"
OTHER = "evt_06h1f25mclt04vbbpdftu762c"


@pytest.fixture(autouse=True)
def delivered(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id, now = workspace.endpoint("https://a.example.com/"), clock.now()
    event: dict[str, Any] = {
        "workspace_id": workspace.id,
        "type": "batch-request",
        "body": b"{}",
        "created_at": now,
    }
    delivery: dict[str, Any] = {
        "workspace_id": workspace.id,
        "endpoint_id": endpoint_id,
        "event_type": "batch-request",
    }
    delivery |= {"state": DeliveryState.CANCELED, "created_at": now}
    with database.begin() as connection:
        connection.execute(insert(Event), [event | {"id": each} for each in (SAME, TWIN, OTHER)])
        rows = [delivery | {"id": f"dlv_{each[4:]}", "event_id": each} for each in (SAME, TWIN, OTHER)]
        connection.execute(insert(Delivery), rows)


def found(databases: Databases, *conditions: object) -> set[str]:
    with databases.read.connect() as connection:
        return set(connection.scalars(select(Delivery.event_id).where(*conditions)))  # type: ignore[arg-type]


def test_each_event_has_its_own(databases: Databases) -> None:
    assert SAME[6:12] + SAME[24] == TWIN[6:12] + TWIN[24] != OTHER[6:12] + OTHER[24]
    assert found(databases, of_event(SAME)) == {SAME}
    assert found(databases, of_event("evt_")) == set()
    assert found(databases, of_events([TWIN, OTHER])) == {TWIN, OTHER}
    assert found(databases, of_events([])) == set()
    assert found(databases, ~of_event(SAME)) == {TWIN, OTHER}


def test_events_are_joined_to_theirs(databases: Databases) -> None:
    with databases.read.connect() as connection:
        own = select(Delivery.id).where(of_event(Event.id)).limit(1).scalar_subquery()
        rows = connection.execute(select(Event.id, own)).all()
    assert {tuple(row) for row in rows} == {(each, f"dlv_{each[4:]}") for each in (SAME, TWIN, OTHER)}


def test_events_of_a_batch_are_spread_over_many_entries(databases: Databases) -> None:
    made = ids.several("evt", 1000)
    of_all = text(f"SELECT count(DISTINCT {part_of('id')}) FROM unnest(CAST(:made AS text[])) AS id")
    if databases.write.dialect.name == "postgresql":
        with databases.read.connect() as connection:
            assert connection.scalar(of_all, {"made": made}) == 32
    assert len({each[6:12] for each in made}) == 1


def test_only_postgresql_is_asked_twice(databases: Databases) -> None:
    with noted_statements() as told:
        found(databases, of_event(SAME))
    assert ("substr" in told[-1]) is (databases.write.dialect.name == "postgresql")
