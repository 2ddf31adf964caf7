"""Recoveries: many deliveries sent, replayed or canceled at once, by a filter of the log."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, Enum, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

_IS_RUNNING = text("state = 'running'")


class RecoveryState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    CANCELED = "canceled"


class RecoveryAction(StrEnum):
    """What is done with each delivery: `send` is for those that wait, `replay` also for finished ones."""

    SEND = "send"
    REPLAY = "replay"
    CANCEL = "cancel"


# Without a CHECK, which SQLite could not widen for an action to come.
_ACTION = Enum(
    RecoveryAction,
    values_callable=lambda members: [member.value for member in members],
    native_enum=False,
    create_constraint=False,
    length=20,
)


class Recovery(Base):
    """Walks the deliveries of a filter from the oldest to the newest, a batch a transaction.

    `cursor` is the last delivery it has dealt with. A worker that moves it must name where it stood, so a
    batch is dealt with once however many workers are at it, and after a kill it goes on from the last commit.

    One column keeps an older name than its attribute (`replayed`), as in `delivery_tables`.
    """

    __tablename__ = "recoveries"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    action: Mapped[RecoveryAction] = mapped_column(
        _ACTION, default=RecoveryAction.REPLAY, server_default=RecoveryAction.REPLAY.value
    )
    # The endpoint that the filter names, or empty: of each scope one runs at a time.
    scope: Mapped[str] = mapped_column(public_id(), default="", server_default="")
    # The arguments of a `LogFilter` whose time is bounded.
    filter: Mapped[dict[str, str]] = mapped_column(JSON)
    state: Mapped[RecoveryState] = mapped_column(enum_column(RecoveryState))
    cursor: Mapped[str] = mapped_column(public_id())
    # As counted at the start; unset where there were too many to count.
    total: Mapped[int | None] = mapped_column(Integer)
    handled: Mapped[int] = mapped_column("replayed", Integer, default=0)
    # Endpoint disabled or deleted, being sent at that moment, or no longer as the filter wants them.
    left_out: Mapped[int] = mapped_column(Integer, default=0)
    # How many of those had no payload any more.
    without_payload: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    # Unset: as fast as the endpoints' queues allow.
    rate_per_second: Mapped[int | None] = mapped_column(Integer)
    # Where there is a rate: not before then.
    next_batch_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_by: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ix_recoveries_workspace", "workspace_id", "id"),
        # One at a time for each endpoint, and one for all. The sweep looks for running ones, too.
        Index(
            "uq_recoveries_running",
            "workspace_id",
            "scope",
            unique=True,
            sqlite_where=_IS_RUNNING,
            postgresql_where=_IS_RUNNING,
        ),
    )
