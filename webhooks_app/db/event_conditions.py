"""Conditions that find the deliveries of events, by PostgreSQL's small index of them.

It has seven characters of the event's id, of those that tell when it was made: eight milliseconds of nine
years. An entry has 8 bytes where the id has 31, and what came together still stands together. So each
condition is asked twice there: as the index has it, and exactly. SQLite has an index of whole ids, and is
asked once.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Boolean, ColumnElement, and_, func, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from webhooks_app.db.models import Delivery

_FIRST, _COUNT = 7, 7


class _Found(FunctionElement[bool]):
    """Of two conditions, which are true together, the exact one; on PostgreSQL both."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self


def of_event(event_id: Any) -> ColumnElement[bool]:
    """Return whether a delivery is of the event, whose id may be a column's."""
    part = event_id[_FIRST - 1 : _FIRST - 1 + _COUNT] if isinstance(event_id, str) else _part(event_id)
    return _Found(Delivery.event_id == event_id, _part(Delivery.event_id) == part)


def of_events(event_ids: Collection[str]) -> ColumnElement[bool]:
    """Return whether a delivery is of one of the events."""
    parts = {each[_FIRST - 1 : _FIRST - 1 + _COUNT] for each in event_ids}
    return _Found(Delivery.event_id.in_(event_ids), _part(Delivery.event_id).in_(sorted(parts)))


def part_of(key: str) -> str:
    """Return PostgreSQL's SQL of the characters of an event's id that the index has."""
    return f"substr({key}, {_FIRST}, {_COUNT})"


def _part(column: Any) -> ColumnElement[str]:
    # Not bound: an index of an expression is found by what stands in the statement.
    return func.substr(column, text(str(_FIRST)), text(str(_COUNT)))


@compiles(_Found)
def _compile_exactly(element: _Found, compiler: SQLCompiler, **options: Any) -> str:
    exactly, _ = element.clauses
    return compiler.process(exactly, **options)


@compiles(_Found, "postgresql")
def _compile_both(element: _Found, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(and_(*element.clauses), **options)})"
