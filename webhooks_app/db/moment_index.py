"""Conditions and orders that PostgreSQL's small indexes of the log serve.

Such an index has a hash of what rows are found by, four bytes, and of the row's own id those characters that
tell when it was made, to a quarter of a second: an entry has 16 bytes where two ids have 62, and what was
made in one quarter for one owner shares an entry. So each condition is asked twice there: as the index has
it, and exactly. SQLite has indexes of whole ids, and is asked once. See docs/decisions/0033.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Dialect, Select, String, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

# Behind the prefix, which events and deliveries have of one length: 40 of the 48 bits of milliseconds.
_MOMENT = "substr({}, 5, 8)"


class _Condition(FunctionElement[bool]):
    """One that is true or false by itself: SQLite, for which numbers are, would be asked whether it is 1."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        return self


class _FoundBy(_Condition):
    """Of columns and values in turn, whether each has its own."""

    inherit_cache = True


class _Moment(FunctionElement[str]):
    """Of an id, the characters that tell when it was made."""

    type = String()
    inherit_cache = True


class _Bound(_Condition):
    """Of the column of an id and another id, on which side of it that lies."""

    inherit_cache = True
    operator = ""


class _Above(_Bound):
    inherit_cache = True
    operator = ">"


class _AtLeast(_Bound):
    inherit_cache = True
    operator = ">="


class _Below(_Bound):
    inherit_cache = True
    operator = "<"


class _AtMost(_Bound):
    inherit_cache = True
    operator = "<="


def found_by(*columns_and_values: tuple[Any, Any]) -> ColumnElement[bool]:
    """Return whether all the columns have their values, of which an index has one hash."""
    return _FoundBy(*(_element(each) for pair in columns_and_values for each in pair))


def above(key: Any, bound: str, *, inclusive: bool = False) -> ColumnElement[bool]:
    """Return whether an id is greater or, with `inclusive`, not smaller."""
    return (_AtLeast if inclusive else _Above)(key, _element(bound))


def below(key: Any, bound: str, *, inclusive: bool = False) -> ColumnElement[bool]:
    """Return whether an id is smaller or, with `inclusive`, not greater."""
    return (_AtMost if inclusive else _Below)(key, _element(bound))


def is_served(condition: ColumnElement[bool]) -> bool:
    """Return whether the condition is one of `found_by`, so that its index sorts by moments on PostgreSQL."""
    return isinstance(condition, _FoundBy)


def in_order(column: Any, upwards: bool) -> ColumnElement[str]:
    """Return what to sort by: the column of an id, the newest first or, `upwards`, the oldest."""
    order: ColumnElement[str] = column.asc() if upwards else column.desc()
    return order


def first(
    dialect: Dialect, statement: Select[*tuple[Any, ...]], key: Any, limit: int, *, upwards: bool
) -> Select[*tuple[Any, ...]]:
    """Return what selects the statement's newest rows or, `upwards`, its oldest, in the order of `key`.

    `key` is among what it selects. Of the last moment all rows are read, as only they tell which is newest.
    """
    if dialect.name != "postgresql":
        return statement.order_by(in_order(key, upwards)).limit(limit)
    some = statement.order_by(in_order(_Moment(key), upwards)).fetch(limit, with_ties=True).subquery()
    return select(some).order_by(in_order(some.c[key.key], upwards)).limit(limit)


def hash_of(*columns: str) -> str:
    """Return PostgreSQL's SQL of the hash that an index has of these columns."""
    return " # ".join(f"hashtext({each})" for each in columns)


def moment_of(key: str) -> str:
    """Return PostgreSQL's SQL of the characters of an id that an index has."""
    return _MOMENT.format(key)


def _element(value: Any) -> ColumnElement[Any]:
    return literal(value, String()) if isinstance(value, str) else value


@compiles(_FoundBy)
def _compile_found_by(element: _FoundBy, compiler: SQLCompiler, **options: Any) -> str:
    exactly = " AND ".join(f"{column} = {value}" for column, value in _pairs(element, compiler, options))
    return f"({exactly})"


@compiles(_FoundBy, "postgresql")
def _compile_hashed(element: _FoundBy, compiler: SQLCompiler, **options: Any) -> str:
    pairs = _pairs(element, compiler, options)
    columns, values = zip(*pairs, strict=True)
    exactly = " AND ".join(f"{column} = {value}" for column, value in pairs)
    # Of what COALESCE hides, the planner does not reckon that it leaves as few rows again as the hash does,
    # which would have it sort all of them.
    return f"(({hash_of(*columns)}) = ({hash_of(*values)}) AND coalesce({exactly}, false))"


@compiles(_Bound)
def _compile_bound(element: _Bound, compiler: SQLCompiler, **options: Any) -> str:
    [(key, bound)] = _pairs(element, compiler, options)
    return f"{key} {element.operator} {bound}"


@compiles(_Bound, "postgresql")
def _compile_bound_of_moments(element: _Bound, compiler: SQLCompiler, **options: Any) -> str:
    [(key, bound)] = _pairs(element, compiler, options)
    exactly = f"coalesce({key} {element.operator} {bound}, false)"
    return f"({moment_of(key)} {element.operator[0]}= {moment_of(bound)} AND {exactly})"


@compiles(_Moment, "postgresql")
def _compile_moment(element: _Moment, compiler: SQLCompiler, **options: Any) -> str:
    [key] = element.clauses
    return moment_of(compiler.process(key, **options))


def _pairs(
    element: FunctionElement[bool], compiler: SQLCompiler, options: dict[str, Any]
) -> list[tuple[str, str]]:
    spelt = iter([compiler.process(each, **options) for each in element.clauses])
    return list(zip(spelt, spelt, strict=True))
