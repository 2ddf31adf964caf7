"""Events: accepted once, their bytes never re-serialised."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Dialect, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from webhooks_app.db import event_bodies
from webhooks_app.db.models.base import Base, UtcDateTime, folded_text, public_id

# The columns of what an event is found by, as many as a type has at most.
VALUE_COLUMNS = ("first_value", "second_value", "third_value")
LONGEST_VALUE = 200  # characters; what is longer is nothing that anybody types into a search


def _value_index(name: str) -> Index:
    has_one = text(f"{name} IS NOT NULL")
    return Index(f"ix_events_{name}", "workspace_id", name, "id", sqlite_where=has_one).ddl_if("sqlite")


class EventBody(TypeDecorator[bytes]):
    """A column of bodies, which are read as they are sent, packed or not.

    A damaged one is `event_bodies.Unreadable`, so that it does not keep the other rows from being read.
    """

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else event_bodies.read(bytes(value))


class Event(Base):
    __tablename__ = "events"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    type: Mapped[str] = mapped_column(String(64))
    # The request body as every delivery of this event sends it, stored as it is or packed.
    body: Mapped[bytes] = mapped_column(EventBody)
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    # SHA-256 of what was asked for under that key.
    request_hash: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # What the log shows of it, as sent; empty where the columns below hold the same, and NULL in a row of the
    # previous version, which knew none: `event_values.all_of`.
    indexed_values: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    # By these it is found at once, in any case; columns, as rows of a table of their own cost twice as much.
    first_value: Mapped[str | None] = mapped_column(folded_text())
    second_value: Mapped[str | None] = mapped_column(folded_text())
    third_value: Mapped[str | None] = mapped_column(folded_text())
    # Since when the body is empty and there are no values any more: `deliveries/erasure/payload_rows.py`.
    payload_erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        # On PostgreSQL these are smaller (`db/index_builds.py`).
        Index(None, "workspace_id", "id").ddl_if("sqlite"),
        *(_value_index(name) for name in VALUE_COLUMNS),
        Index(
            "uq_events_idempotency",
            "workspace_id",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )


class LatePayload(Base):
    """An event whose payload was due to be erased before its deliveries were all finished for long enough."""

    __tablename__ = "late_payloads"

    workspace_id: Mapped[str] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    event_id: Mapped[str] = mapped_column(public_id(), primary_key=True)


class AcceptedBatch(Base):
    """A batch that was accepted under an idempotency key of its own, and what a repeat is answered."""

    __tablename__ = "accepted_batches"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    idempotency_key: Mapped[str] = mapped_column(String(255))
    # SHA-256 of what was asked for under that key.
    request_hash: Mapped[str] = mapped_column(String(64))
    # The id of each event, and how many deliveries it had.
    events: Mapped[list[list[Any]]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("uq_accepted_batches_key", "workspace_id", "idempotency_key", unique=True),
        Index(None, "workspace_id", "id"),
    )


class ValueBackfill(Base):
    """What is to be done for the events of the previous version, which stored no values.

    Those up to `position` have them. The row goes once no such event can come any more; whoever moves the
    position must name where it stood.
    """

    __tablename__ = "value_backfills"

    until: Mapped[str] = mapped_column(public_id(), primary_key=True)
    position: Mapped[str] = mapped_column(public_id())
