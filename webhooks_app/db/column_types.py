"""Column types that behave alike on both databases, for whoever loads no tables."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC: `timestamptz` on PostgreSQL, integer microseconds since 1970 on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else for_driver(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return of_driver(value)


def for_driver(moment: datetime, dialect: Dialect) -> Any:
    """Return what the dialect's driver takes for a moment. Raises ValueError for one without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return microseconds(moment) if dialect.name == "sqlite" else moment


def of_driver(value: Any) -> datetime | None:
    """Return the moment in UTC that a driver has as microseconds (SQLite) or in the session's time zone."""
    if isinstance(value, int):
        return from_microseconds(value)
    return value.astimezone(UTC) if value is not None else None


def microseconds(moment: datetime) -> int:
    """Return an aware moment as SQLite holds it: microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the moment, in UTC, that SQLite holds as these microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)
