"""Conditions that find the deliveries of events, by PostgreSQL's small index of them.

It has seven characters of the event's id: six of those that tell when it was made, a quarter of a second of
nine years, and a random one, by which the events of a batch differ. An entry has 8 bytes where the id has 31,
and what came together still stands together. So each condition is asked twice there: as the index has it,
and exactly. SQLite has an index of whole ids, and is asked once.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Boolean, ColumnElement, String, and_, func, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from webhooks_app.db.models import Delivery

# From which character on how many; the 25th is among the bits of an id that each step to the next changes.
_MOMENT, _RANDOM = (7, 6), (25, 1)


class _Found(FunctionElement[bool]):
    """Of two conditions, which are true together, the exact one; on PostgreSQL both."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self


def of_event(event_id: Any) -> ColumnElement[bool]:
    """Return whether a delivery is of the event, whose id may be a column's."""
    part = _part_of_id(event_id) if isinstance(event_id, str) else _part(event_id)
    return _Found(Delivery.event_id == event_id, _part(Delivery.event_id) == part)


def of_events(event_ids: Collection[str]) -> ColumnElement[bool]:
    """Return whether a delivery is of one of the events."""
    parts = {_part_of_id(each) for each in event_ids}
    return _Found(Delivery.event_id.in_(event_ids), _part(Delivery.event_id).in_(sorted(parts)))


def part_of(key: str) -> str:
    """Return PostgreSQL's SQL of the characters of an event's id that the index has."""
    return " || ".join(f"substr({key}, {first}, {count})" for first, count in (_MOMENT, _RANDOM))


def _part_of_id(event_id: str) -> str:
    return "".join(event_id[first - 1 : first - 1 + count] for first, count in (_MOMENT, _RANDOM))


def _part(column: Any) -> ColumnElement[str]:
    moment, random = (_characters(column, first, count) for first, count in (_MOMENT, _RANDOM))
    return moment + random


def _characters(column: Any, first: int, count: int) -> ColumnElement[str]:
    # Not bound: an index of an expression is found by what stands in the statement.
    return func.substr(column, text(str(first)), text(str(count)), type_=String())


@compiles(_Found)
def _compile_exactly(element: _Found, compiler: SQLCompiler, **options: Any) -> str:
    exactly, _ = element.clauses
    return compiler.process(exactly, **options)


@compiles(_Found, "postgresql")
def _compile_both(element: _Found, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(and_(*element.clauses), **options)})"
