"""What every table shares."""

from enum import StrEnum

from sqlalchemy import Enum, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase

from webhooks_app.db.column_types import UtcDateTime as UtcDateTime  # as what tables are made of
from webhooks_app.db.column_types import microseconds as microseconds


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


def public_id() -> String:
    """Return the type of a column of prefixed ids: in byte order, so that the database sorts them by time."""
    return String(32).with_variant(String(32, collation="C"), "postgresql")


def folded_text() -> Text:
    """Return the type of a column for what `core/case_folding.py` returns, compared by its bytes."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def enum_column(states: type[StrEnum]) -> Enum:
    """Return the type of a column that holds one word of a `StrEnum`, enforced by a CHECK."""
    return Enum(
        states,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=True,
        name=states.__name__.lower(),
        length=20,
    )
