"""Paging by keyset: by ids that grow with time, so that a page costs the same however deep it lies.

`find` and `count` search newest or oldest first, with a bounded amount of work; `read_beyond` reads a page of
any statement, by whatever it is sorted by. What reads everything is `keyset_walk`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    func,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from webhooks_app.db import moment_index
from webhooks_app.db.moment_index import in_order

Condition = ColumnElement[bool]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for.

    `ranges` are conditions that an index serves: each is a range of an index that ends in `key`, or in its
    moment where a condition is of `moment_index.found_by`, and no two of them have a row in common.
    `conditions` are those that no index serves, on the row of `row_key`; they are tried on chunk after chunk
    of the ranges. `early_condition` is one on the table of `key` itself: read along with the key, it is known
    before the row is looked up. `content_holds` is a condition that no database knows, on the bytes that
    `content` selects for the row of `row_key`; it is tried last.
    """

    key: Any
    ranges: Sequence[Sequence[Condition]]
    row_key: Any
    conditions: Sequence[Condition] = ()
    early_condition: Condition | None = None
    content: Select[Any] | None = None
    content_holds: Callable[[bytes], bool] = bool

    @property
    def is_one_range(self) -> bool:
        is_conditional = self.conditions or self.early_condition is not None or self.content is not None
        return len(self.ranges) == 1 and not is_conditional


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """How many rows a search looks at, and for how many seconds, before it says how far it came.

    It looks at the clock after each chunk of `chunk_rows`.
    """

    rows: int
    seconds: float
    chunk_rows: int


# What a page shows is counted no further: to read more rows takes longer than the answer is worth.
COUNT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ids in the direction of the search. `reached` is the last one looked at, where it ended early."""

    ids: list[str]
    has_more: bool
    reached: str | None = None


@dataclass(frozen=True, slots=True)
class MatchCount:
    """How many rows match, counted no further than a limit or for longer than a search may take."""

    count: int
    is_all: bool


def find(
    session: Session,
    search: Search,
    low: str,
    high: str,
    *,
    limit: int,
    limits: SearchLimits,
    upwards: bool = False,
) -> SearchResult:
    """Return up to `limit` of the ids between `low` and `high`: the newest or, with `upwards`, the oldest."""
    if search.is_one_range:
        statement = _range(session, search, search.ranges[0], low, high, limit + 1, upwards)
        found, has_more = _cut(session.scalars(statement).all(), limit)
        return SearchResult(list(found), has_more)
    return _find_by_chunks(session, search, low, high, limit, limits, upwards)


def count(
    session: Session, search: Search, low: str, high: str, *, limit: int, limits: SearchLimits
) -> MatchCount:
    """Return how many ids there are between `low` and `high`, up to `limit`."""
    if not search.is_one_range:
        found = _find_by_chunks(session, search, low, high, limit, limits, upwards=False)
        return MatchCount(len(found.ids), not found.has_more)
    some = _range(session, search, search.ranges[0], low, high, limit + 1, False).subquery()
    number = session.scalar(select(func.count()).select_from(some)) or 0
    return MatchCount(min(number, limit), number <= limit)


def read_beyond(
    session: Session,
    statement: Select[Found],
    keys: Sequence[Any],
    cursor: Sequence[Any] | None,
    *,
    limit: int,
    upwards: bool = False,
) -> tuple[Sequence[Found], bool]:
    """Return up to `limit` rows of the statement that come after `cursor`, and whether there are more.

    `keys` are the columns that it is sorted by, downwards or, with `upwards`, upwards; `cursor` holds their
    values in the last row of the page before, and is None for the first page.
    """
    if cursor is not None:
        statement = statement.where(_is_beyond(keys, cursor, upwards))
    ordered = statement.order_by(*(in_order(key, upwards) for key in keys))
    return _cut(session.scalars(ordered.limit(limit + 1)).unique().all(), limit)


def _is_beyond(keys: Sequence[Any], cursor: Sequence[Any], upwards: bool) -> Condition:
    here, there = (tuple_(*keys), tuple(cursor)) if len(keys) > 1 else (keys[0], cursor[0])
    condition: Condition = here > there if upwards else here < there
    return condition


def _cut(found: Sequence[Found], limit: int) -> tuple[Sequence[Found], bool]:
    """Return up to `limit` of what was found, and whether the one more that was asked for is among it."""
    return found[:limit], len(found) > limit


def _find_by_chunks(
    session: Session, search: Search, low: str, high: str, limit: int, limits: SearchLimits, upwards: bool
) -> SearchResult:
    deadline = time.monotonic() + limits.seconds
    found: list[str] = []
    rows_read = 0
    while True:
        chunk = _chunk(session, search, low, high, limits.chunk_rows, upwards)
        read = _read_contents if search.content is not None else _read_matches
        matching, size, reached = read(session, search, chunk, upwards, limit + 1 - len(found))
        found += matching
        if len(found) > limit:
            return SearchResult(found[:limit], True)
        rows_read += size
        if size < limits.chunk_rows:
            return SearchResult(found, False)
        low, high = (reached, high) if upwards else (low, reached)
        if rows_read >= limits.rows or time.monotonic() > deadline:
            return SearchResult(found, True, reached)


def _range(
    session: Session,
    search: Search,
    conditions: Sequence[Condition],
    low: str,
    high: str,
    limit: int,
    upwards: bool,
) -> Select[Any]:
    columns = [search.key.label("id")]
    if search.early_condition is not None:
        columns.append(search.early_condition.label("is_candidate"))
    within = select(*columns).where(*conditions)
    if any(map(moment_index.is_served, conditions)):
        within = within.where(moment_index.above(search.key, low), moment_index.below(search.key, high))
        return moment_index.first(session.get_bind().dialect, within, search.key, limit, upwards=upwards)
    within = within.where(search.key > low, search.key < high)
    return within.order_by(in_order(search.key, upwards)).limit(limit)


def _chunk(session: Session, search: Search, low: str, high: str, rows: int, upwards: bool) -> Subquery:
    """Return the next ids of all ranges, merged."""
    parts = [_range(session, search, each, low, high, rows, upwards).subquery() for each in search.ranges]
    if len(parts) == 1:
        return parts[0]
    merged = union_all(*(select(part.c.id) for part in parts)).subquery()
    return select(merged.c.id).order_by(in_order(merged.c.id, upwards)).limit(rows).subquery()


def _read_matches(
    session: Session, search: Search, chunk: Subquery, upwards: bool, limit: int
) -> tuple[Sequence[str], int, str]:
    """Return up to `limit` of the chunk's ids that match, how many rows it has, and the last of them."""
    matching = session.scalars(_matches(search, chunk, upwards).limit(limit)).all()
    edge = func.max(chunk.c.id) if upwards else func.min(chunk.c.id)
    size, reached = session.execute(select(func.count(), edge).select_from(chunk)).one()
    return matching, size, reached


def _read_contents(
    session: Session, search: Search, chunk: Subquery, upwards: bool, _limit: int
) -> tuple[Sequence[str], int, str]:
    """As `_read_matches`, where contents have to be read; all that match are returned."""
    assert search.content is not None
    content = search.content.where(search.row_key == chunk.c.id).scalar_subquery()
    conditions = [*search.conditions, *([chunk.c.is_candidate] if search.early_condition is not None else [])]
    holds = select(and_(true(), *conditions)).where(search.row_key == chunk.c.id).scalar_subquery()
    statement = select(chunk.c.id, case((holds, content)).label("content"))
    rows = session.execute(statement.order_by(in_order(chunk.c.id, upwards))).all()
    matching = [row.id for row in rows if row.content is not None and search.content_holds(row.content)]
    return matching, len(rows), rows[-1].id if rows else ""


def _matches(search: Search, chunk: Subquery, upwards: bool) -> Select[Any]:
    # Each row is looked up by its id, whatever the planner believes: a join may come out as a scan.
    holds = select(and_(true(), *search.conditions)).where(search.row_key == chunk.c.id).scalar_subquery()
    statement = select(chunk.c.id).where(holds)
    if search.early_condition is not None:
        statement = statement.where(chunk.c.is_candidate)
    return statement.order_by(in_order(chunk.c.id, upwards))
