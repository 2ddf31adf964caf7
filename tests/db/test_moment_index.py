"""PostgreSQL's indexes of hashes and moments tell rows apart no worse than indexes of whole ids do."""

from typing import Any

import pytest
from sqlalchemy import insert, select

from tests.statements import noted_statements
from webhooks_app.core import clock, ids
from webhooks_app.db import keyset_walk, moment_index
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Event, Workspace

# PostgreSQL has one hash for both.
OWNER, DOUBLE = "ws_0000000000000000000000b149", "ws_0000000000000000000000f4dd"


@pytest.fixture
def of_one_moment(database: WriteDatabase) -> list[str]:
    """The ids of an owner's events, in order; another one has as many."""
    now = clock.now()
    named, others = ids.several("evt", 20), ids.several("evt", 20)
    event = {"type": "batch-request", "body": b"{}", "created_at": now}
    with database.begin() as connection:
        owners = [{"id": each, "name": each, "created_at": now} for each in (OWNER, DOUBLE)]
        connection.execute(insert(Workspace), owners)
        theirs = [(OWNER, each) for each in named[::-1]] + [(DOUBLE, each) for each in others]
        rows = [event | {"workspace_id": owner, "id": each} for owner, each in theirs]
        connection.execute(insert(Event), rows)
    return named


def test_the_hash_is_one_for_both(databases: Databases) -> None:
    with databases.read.connect() as connection:
        if connection.dialect.name == "postgresql":
            hashes = (moment_index.hash_of(f"'{each}'") for each in (OWNER, DOUBLE))
            assert len(set(connection.exec_driver_sql(f"SELECT {', '.join(hashes)}").one())) == 1


@pytest.mark.parametrize("upwards", [False, True])
def test_what_was_made_in_one_moment_is_paged_in_order(
    databases: Databases, of_one_moment: list[str], upwards: bool
) -> None:
    found: list[str] = []
    while len(page := _page(databases, found[-1:], upwards)) == 7:
        found += page

    assert found + page == (of_one_moment if upwards else of_one_moment[::-1])


def _page(databases: Databases, behind: list[str], upwards: bool) -> list[str]:
    statement = _owned()
    for each in behind:
        bound = moment_index.above if upwards else moment_index.below
        statement = statement.where(bound(Event.id, each))
    with databases.read.connect() as connection:
        dialect = connection.dialect
        return list(connection.scalars(moment_index.first(dialect, statement, Event.id, 7, upwards=upwards)))


def test_what_was_made_in_one_moment_is_walked_in_order(
    databases: Databases, of_one_moment: list[str]
) -> None:
    walk = keyset_walk.walk(databases.read, _owned(), Event.id, batch_rows=lambda: 7, by_moments=True)

    with noted_statements() as asked:
        batches = [[row.id for row in batch] for batch in walk]
    # One for all of them, as each reads the whole moment, and one that finds no more.
    assert [each.split()[0] for each in asked].count("SELECT") == 2
    assert [len(each) for each in batches] == [7, 7, 6]
    assert [each for batch in batches for each in batch] == of_one_moment


def test_bounds_and_owners_hold_exactly(databases: Databases, of_one_moment: list[str]) -> None:
    third = of_one_moment[2]
    has_type = moment_index.found_by((Event.workspace_id, OWNER), (Event.type, "batch-request"))
    has_another = moment_index.found_by((Event.workspace_id, OWNER), (Event.type, "another"))

    assert _ids(databases, has_type, moment_index.below(Event.id, third)) == of_one_moment[:2]
    assert _ids(databases, has_type, moment_index.below(Event.id, third, inclusive=True)) == of_one_moment[:3]
    assert _ids(databases, has_type, moment_index.above(Event.id, third)) == of_one_moment[3:]
    assert _ids(databases, has_type, moment_index.above(Event.id, third, inclusive=True)) == of_one_moment[2:]
    assert _ids(databases, has_another) == []
    assert len(_ids(databases, ~has_type)) == len(of_one_moment)


def _owned() -> Any:
    return select(Event.id).where(moment_index.found_by((Event.workspace_id, OWNER)))


def _ids(databases: Databases, *conditions: Any) -> list[str]:
    with databases.read.connect() as connection:
        return list(connection.scalars(select(Event.id).where(*conditions).order_by(Event.id)))
