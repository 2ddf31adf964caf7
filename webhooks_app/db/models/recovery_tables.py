"""Recoveries: many deliveries replayed at once, by a filter of the log."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

_IS_RUNNING = text("state = 'running'")


class RecoveryState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    CANCELED = "canceled"


class Recovery(Base):
    """Walks the deliveries of a filter from the oldest to the newest, a batch a transaction.

    `cursor` is the last delivery it has dealt with. A worker that moves it must name where it stood, so a
    batch is replayed once however many workers are at it, and after a kill it goes on from the last commit.
    """

    __tablename__ = "recoveries"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    # The arguments of a `LogFilter` whose time is bounded.
    filter: Mapped[dict[str, str]] = mapped_column(JSON)
    state: Mapped[RecoveryState] = mapped_column(enum_column(RecoveryState))
    cursor: Mapped[str] = mapped_column(public_id())
    # As counted at the start; unset where there were too many to count.
    total: Mapped[int | None] = mapped_column(Integer)
    replayed: Mapped[int] = mapped_column(Integer, default=0)
    # Endpoint disabled or deleted, or no longer as the filter wants them.
    left_out: Mapped[int] = mapped_column(Integer, default=0)
    started_by: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_recoveries_workspace", "workspace_id", "id"),
        # One at a time in each workspace. The sweep looks for running ones, too.
        Index(
            "uq_recoveries_running",
            "workspace_id",
            unique=True,
            sqlite_where=_IS_RUNNING,
            postgresql_where=_IS_RUNNING,
        ),
    )
