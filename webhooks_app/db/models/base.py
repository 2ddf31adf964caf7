"""What every table shares: column types that behave alike on both databases."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC: `timestamptz` on PostgreSQL, integer microseconds since 1970 on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return microseconds(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if isinstance(value, int):
            return _EPOCH + timedelta(microseconds=value)
        return value.astimezone(UTC) if value is not None else None


def microseconds(moment: datetime) -> int:
    """A moment as SQLite holds it."""
    return (moment - _EPOCH) // _MICROSECOND


def public_id() -> String:
    """A column for prefixed ids. Byte order, so that the database sorts them by time."""
    return String(32).with_variant(String(32, collation="C"), "postgresql")


def folded_text() -> Text:
    """A column for what `core/case_folding.py` returns, compared by its bytes."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def enum_column(states: type[StrEnum]) -> Enum:
    """A column that holds one word of a `StrEnum`, kept honest by a CHECK."""
    return Enum(
        states,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=True,
        name=states.__name__.lower(),
        length=20,
    )
