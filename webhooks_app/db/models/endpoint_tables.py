"""Endpoints, their subscriptions, their signing secrets and their health."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Boolean, ColumnElement, ForeignKey, Index, Integer, String, Text, and_, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

_IS_FAILING = text("failing_since IS NOT NULL")
_IS_LIVE = text("deleted_at IS NULL")


class EndpointState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class Endpoint(Base):
    __tablename__ = "endpoints"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    url: Mapped[str] = mapped_column(String(2048))
    all_events: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[EndpointState] = mapped_column(enum_column(EndpointState))
    disabled_reason: Mapped[str | None] = mapped_column(String(300))
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    timeout_ms: Mapped[int] = mapped_column(Integer)
    rate_per_second: Mapped[int | None] = mapped_column(Integer)
    # JSON of [[name, value], …], encrypted for this endpoint.
    headers_encrypted: Mapped[str | None] = mapped_column(Text)
    # What overwrites changes of people, such as a file's name.
    managed_by: Mapped[str | None] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # A deleted endpoint stays until its log has expired.
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Whether a program fetches its deliveries: no worker sends them. See `Listener`.
    is_listener: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())

    subscriptions: Mapped[list["Subscription"]] = relationship(
        cascade="all, delete-orphan", order_by="Subscription.event_type"
    )
    secrets: Mapped[list["SigningSecret"]] = relationship(
        cascade="all, delete-orphan", order_by="SigningSecret.created_at.desc()"
    )
    health: Mapped["EndpointHealth"] = relationship(cascade="all, delete-orphan", uselist=False)

    __table_args__ = (
        Index(None, "workspace_id", "id"),
        # Each accept asks for these, and many a deleted one may wait for its log to expire.
        Index("ix_endpoints_live", "workspace_id", "id", sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE),
    )

    @classmethod
    def is_live_in(cls, workspace_id: str) -> ColumnElement[bool]:
        """Return whether it is the workspace's, and not deleted."""
        return and_(cls.workspace_id == workspace_id, cls.deleted_at.is_(None))

    @classmethod
    def is_kept_in(cls, workspace_id: str) -> ColumnElement[bool]:
        """Return whether it is live, and one that somebody set up to stay: no listener."""
        return and_(cls.is_live_in(workspace_id), cls.is_listener.is_(False))

    @property
    def is_enabled(self) -> bool:
        return self.state is EndpointState.ENABLED

    @property
    def event_types(self) -> list[str]:
        return [subscription.event_type for subscription in self.subscriptions]


class Subscription(Base):
    __tablename__ = "subscriptions"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    event_type: Mapped[str] = mapped_column(String(64), primary_key=True)


class SigningSecret(Base):
    """In force while `expires_at` is unset (the current one) or ahead (signs too, after a rotation)."""

    __tablename__ = "signing_secrets"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), index=True)
    ciphertext: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EndpointHealth(Base):
    """What workers learn of an endpoint; apart from it, so that recording never rewrites configuration."""

    __tablename__ = "endpoint_health"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    last_success_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_failure_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_failure_outcome: Mapped[str | None] = mapped_column(String(20))
    # The status that it was answered with, if it was.
    last_failure_status: Mapped[int | None] = mapped_column(Integer)
    # The first failure since the last success, without those of our own; unset while the endpoint answers.
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Failures since then that are the endpoint's.
    failure_count: Mapped[int] = mapped_column(Integer, default=0)
    # When the next request may go, to an endpoint with a rate limit or one that is paused.
    rate_free_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The newest delivery that was ever attempted; what was due before it was made should have gone first.
    newest_attempted_id: Mapped[str | None] = mapped_column(public_id())

    # What the sweep looks through for endpoints to announce or disable.
    __table_args__ = (
        Index(
            "ix_endpoint_health_failing",
            "failing_since",
            sqlite_where=_IS_FAILING,
            postgresql_where=_IS_FAILING,
        ),
    )
