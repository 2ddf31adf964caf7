"""Paging by keyset: every row once, within the limits of a search."""

from typing import Any

import pytest
from sqlalchemy import insert, select

from webhooks_app.core import clock
from webhooks_app.db import keyset
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.keyset import Search, SearchLimits
from webhooks_app.db.models import Heartbeat

NAMES = [f"{number:02d}" for number in range(20)]
IS_EVEN = Heartbeat.name.in_(NAMES[::2])
UNBOUNDED = SearchLimits(rows=1000, seconds=60, chunk_rows=3)


@pytest.fixture(autouse=True)
def rows(database: WriteDatabase) -> None:
    with database.begin() as connection:
        connection.execute(insert(Heartbeat), [{"name": name, "at": clock.now()} for name in NAMES])


def search(*conditions: keyset.Condition, ranges: int = 1) -> Search:
    """All names, in one range or dealt out to several."""
    dealt = [[Heartbeat.name.in_(NAMES[first::ranges])] for first in range(ranges)]
    return Search(Heartbeat.name, dealt, Heartbeat.name, conditions)


@pytest.mark.parametrize("ranges", [1, 3])
@pytest.mark.parametrize("upwards", [False, True])
def test_a_search_finds_what_fulfils_its_conditions_in_order(
    databases: Databases, ranges: int, upwards: bool
) -> None:
    with databases.read.session() as session:
        found = keyset.find(
            session, search(IS_EVEN, ranges=ranges), "02", "17", limit=4, limits=UNBOUNDED, upwards=upwards
        )

    assert found.ids == (["04", "06", "08", "10"] if upwards else ["16", "14", "12", "10"])
    assert (found.has_more, found.reached) == (True, None)


def test_a_search_without_conditions_is_one_statement_and_ends_with_the_rows(databases: Databases) -> None:
    with databases.read.session() as session:
        found = keyset.find(session, search(), "", "05", limit=10, limits=UNBOUNDED)

    assert (found.ids, found.has_more) == (["04", "03", "02", "01", "00"], False)


def test_a_search_that_looked_at_enough_says_how_far_it_came(databases: Databases) -> None:
    limits = SearchLimits(rows=6, seconds=60, chunk_rows=3)
    with databases.read.session() as session:
        found = keyset.find(session, search(Heartbeat.name == "03"), "", "~", limit=5, limits=limits)
        assert (found.ids, found.has_more, found.reached) == ([], True, "14")
        early = SearchLimits(rows=1000, seconds=0, chunk_rows=3)
        found = keyset.find(session, search(Heartbeat.name == "03"), "", "~", limit=5, limits=early)
        assert found.reached == "17"


def test_an_early_condition_is_one_on_the_ranges_own_table(databases: Databases) -> None:
    early = Search(Heartbeat.name, [[]], Heartbeat.name, [IS_EVEN], early_condition=Heartbeat.name > "15")
    with databases.read.session() as session:
        found = keyset.find(session, early, "", "~", limit=10, limits=UNBOUNDED)

    assert found.ids == ["18", "16"]


@pytest.mark.parametrize(("limit", "expected"), [(5, (5, False)), (10, (10, True)), (30, (10, True))])
def test_what_matches_is_counted_up_to_a_limit(
    databases: Databases, limit: int, expected: tuple[int, bool]
) -> None:
    with databases.read.session() as session:
        counted = keyset.count(session, search(IS_EVEN), "", "~", limit=limit, limits=UNBOUNDED)
        plain = keyset.count(session, search(), "", "10", limit=limit, limits=UNBOUNDED)

    assert (counted.count, counted.is_all) == (plain.count, plain.is_all) == expected


@pytest.mark.parametrize("keys", [[Heartbeat.name], [Heartbeat.at, Heartbeat.name]])
@pytest.mark.parametrize("upwards", [False, True])
def test_pages_meet_every_row_once_by_one_key_or_several(
    databases: Databases, keys: list[Any], upwards: bool
) -> None:
    pages: list[list[str]] = []
    place: list[Any] | None = None
    has_more = True
    with databases.read.session() as session:
        while has_more:
            rows, has_more = keyset.read_beyond(
                session, select(Heartbeat), keys, place, limit=8, upwards=upwards
            )
            pages.append([row.name for row in rows])
            place = [getattr(rows[-1], key.key) for key in keys]

    assert [len(page) for page in pages] == [8, 8, 4]
    assert [name for page in pages for name in page] == (NAMES if upwards else NAMES[::-1])


def test_a_page_that_holds_all_the_rest_has_none_behind_it(databases: Databases) -> None:
    with databases.read.session() as session:
        rows, has_more = keyset.read_beyond(
            session, select(Heartbeat.name), [Heartbeat.name], ["05"], limit=5
        )

    assert (list(rows), has_more) == (NAMES[4::-1], False)
