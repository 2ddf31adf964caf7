"""Deliveries (the log), what is pending of them (the queue), their attempts, and the hourly sums.

A delivery is `pending` exactly while it has a row in `pending_deliveries`. That table is narrow and short, so
claiming, which rewrites a row and its index entries each time, never touches the log's many indexes.

Three columns keep older names than their attributes (`tries`, `lapses` and `trouble`), because a running
installation upgrades: the versions before and after an upgrade use one database for a while. Raw
SQL and rows that are inserted in bulk use the columns' names.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Computed,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    and_,
    false,
    select,
    text,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from webhooks_app.core import ids
from webhooks_app.db import attempt_heads
from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id
from webhooks_app.db.models.endpoint_tables import Endpoint
from webhooks_app.db.models.event_tables import Event
from webhooks_app.db.models.header_tables import ConstantHeaders


class DeliveryState(StrEnum):
    PENDING = "pending"
    HELD = "held"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELED = "canceled"


FINAL_STATES = (DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.CANCELED)

# What an admin looks for in the log: everything that needs attention. It stays NULL from accept to
# delivered on the happy path, so that recording a success changes no indexed column and PostgreSQL can keep
# the new row version on its page (HOT).
_ATTENTION_STATE = """CASE
    WHEN state = 'pending' AND last_outcome IS NOT NULL THEN 'retrying'
    WHEN state IN ('held', 'failed', 'canceled') THEN state
END"""
_NEEDS_ATTENTION = text("trouble IS NOT NULL")
_IS_TEST = text("is_test")
_HAS_RECOVERY = text("recovery_id IS NOT NULL")


def _attention_index(name: str, owner: str) -> Index:
    return Index(
        name, owner, "trouble", "id", postgresql_where=_NEEDS_ATTENTION, sqlite_where=_NEEDS_ATTENTION
    )


class Delivery(Base):
    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(public_id())
    # PostgreSQL has neither of these foreign keys: see docs/decisions/0022. An event is inserted by the same
    # statement, and retention removes events and endpoints only when they have no deliveries.
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"))
    event_type: Mapped[str] = mapped_column(String(64))
    state: Mapped[DeliveryState] = mapped_column(enum_column(DeliveryState))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When it is or was due; a claim does not move it.
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Of the newest recorded attempt. Grows by one with each claim; see PendingDelivery.
    generation: Mapped[int] = mapped_column(Integer, default=0)
    attempt_count: Mapped[int] = mapped_column(Integer, default=0)
    # Attempts of the schedule now running; a replay of a finished delivery starts it afresh.
    attempts_in_schedule: Mapped[int] = mapped_column("tries", SmallInteger, default=0)
    last_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_outcome: Mapped[str | None] = mapped_column(String(20))
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_duration_ms: Mapped[int | None] = mapped_column(Integer)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attention_state: Mapped[str | None] = mapped_column(
        "trouble", String(20), Computed(_ATTENTION_STATE, persisted=True)
    )
    # Sent from the Test tab: attempted once, and counted nowhere.
    is_test: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    # The last recovery that dealt with it.
    recovery_id: Mapped[str | None] = mapped_column(public_id())

    endpoint: Mapped[Endpoint] = relationship()
    event: Mapped[Event] = relationship()
    attempts: Mapped[list["Attempt"]] = relationship(
        primaryjoin="Delivery.id == foreign(Attempt.delivery_id)",
        order_by="Attempt.generation",
        viewonly=True,
    )

    __table_args__ = (
        # The log, by keyset on the time-sorted id: all, by what is wrong (what is not is most of the plain
        # index anyway), by event type. Retention walks the workspace's. On PostgreSQL these three and the
        # event's are smaller (`db/index_builds.py`).
        Index("ix_deliveries_workspace", "workspace_id", "id").ddl_if("sqlite"),
        Index("ix_deliveries_endpoint", "endpoint_id", "id").ddl_if("sqlite"),
        Index("ix_deliveries_type", "workspace_id", "event_type", "id").ddl_if("sqlite"),
        Index("ix_deliveries_event", "event_id").ddl_if("sqlite"),
        _attention_index("ix_deliveries_workspace_trouble", "workspace_id"),
        _attention_index("ix_deliveries_endpoint_trouble", "endpoint_id"),
        Index("ix_deliveries_test", "workspace_id", "id", sqlite_where=_IS_TEST, postgresql_where=_IS_TEST),
        # What became of a recovery's deliveries, and the log of them.
        Index(
            "ix_deliveries_recovery",
            "recovery_id",
            "trouble",
            "id",
            sqlite_where=_HAS_RECOVERY,
            postgresql_where=_HAS_RECOVERY,
        ),
    )


class PendingDelivery(Base):
    """The queue. `next_attempt_at` is when the delivery may be claimed.

    A claim pushes it one lease ahead, sets `claimed_at` and bumps `generation`; a worker that records an
    outcome must name the generation it claimed. While `scheduled_at` lies ahead, the next attempt is a manual
    one, beside the schedule, which goes on at that moment. No foreign key: each would be checked for every
    delivery, and rows come and go only together with their delivery's state (`db/delivery_queue.py`,
    `worker/`).
    """

    __tablename__ = "pending_deliveries"

    delivery_id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(public_id())
    event_id: Mapped[str] = mapped_column(public_id())
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime)
    claimed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    generation: Mapped[int] = mapped_column(Integer)
    attempts_in_schedule: Mapped[int] = mapped_column("tries", SmallInteger)
    # Leases in a row that ended without an outcome: the worker that held it died.
    expired_leases: Mapped[int] = mapped_column("lapses", SmallInteger)
    # When the schedule has it due, while a manual attempt is asked for or under way.
    scheduled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_test: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    @classmethod
    def is_being_sent(cls, now: datetime) -> ColumnElement[bool]:
        """Return whether a worker holds it; one whose lease has run out is dead or not heard any more."""
        return and_(cls.claimed_at.is_not(None), cls.next_attempt_at > now)

    # The claim: whose turn it is, oldest first within an endpoint.
    __table_args__ = (Index("ix_pending_deliveries_due", "endpoint_id", "next_attempt_at"),)


class Attempt(Base):
    """One HTTP request. Header blocks and bodies are bytes: receivers send what they like."""

    __tablename__ = "attempts"

    # No foreign key, for its cost on the widest rows; retention deletes attempts before their delivery.
    delivery_id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str | None] = mapped_column(String(300))
    status: Mapped[int | None] = mapped_column(Integer)
    # Microseconds from the start to the end of each phase; a reused connection has none of the first three.
    dns_us: Mapped[int] = mapped_column(Integer)
    connect_us: Mapped[int] = mapped_column(Integer)
    tls_us: Mapped[int] = mapped_column(Integer)
    first_byte_us: Mapped[int] = mapped_column(Integer)
    total_us: Mapped[int] = mapped_column(Integer)
    remote_address: Mapped[str | None] = mapped_column(String(64))
    # Of a row that has `packed_heads`, these two are empty: see `request_headers` and `response_headers`.
    plain_request_headers: Mapped[str] = mapped_column("request_headers", Text)
    plain_response_headers: Mapped[bytes | None] = mapped_column("response_headers", LargeBinary)
    response_body: Mapped[bytes | None] = mapped_column(LargeBinary)
    response_truncated: Mapped[bool] = mapped_column(Boolean)
    # Asked for by a person, beside the schedule.
    is_manual: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    # What `db/attempt_heads.py` makes of both headers: an eighth of their size.
    packed_heads: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Which of the endpoint's `constant_headers` the request carried besides.
    headers_digest: Mapped[int | None] = mapped_column(Integer)
    # Read only where it is asked for.
    constant_headers: Mapped[str | None] = column_property(
        select(ConstantHeaders.headers)
        .join(Delivery, Delivery.endpoint_id == ConstantHeaders.endpoint_id)
        .where(Delivery.id == delivery_id, ConstantHeaders.digest == headers_digest)
        .correlate_except(ConstantHeaders, Delivery)
        .scalar_subquery(),
        deferred=True,
    )

    @property
    def id(self) -> str:
        return ids.attempt_id(self.delivery_id, self.generation)

    @property
    def request_headers(self) -> str:
        return attempt_heads.read(self).request

    @property
    def response_headers(self) -> bytes:
        return attempt_heads.read(self).response


class AttemptRollup(Base):
    """Attempts of one endpoint in one hour, by outcome and latency bucket: what every chart is drawn from.

    Bucket b counts durations in [2^(b-1), 2^b) milliseconds, bucket 0 those under one.
    """

    __tablename__ = "attempt_rollups"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    hour_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    outcome: Mapped[str] = mapped_column(String(20), primary_key=True)
    latency_bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
