"""What is announced about endpoints, and the heartbeat that tells whether anybody is there to announce it."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

_UNSENT = text("mail_due_at IS NOT NULL")


class NoticeKind(StrEnum):
    WARNING = "warning"  # it will be disabled if this goes on
    FINAL_WARNING = "final_warning"  # it is about to be
    DISABLED = "disabled"  # it was, after days of nothing but failures
    GONE = "gone"  # it was, because it answered 410


class Notice(Base):
    """One announcement about one streak of failures; the unique index makes it go out once.

    Nothing has to be reset when a success ends the streak: the next one starts at another moment.
    """

    __tablename__ = "notices"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"))
    kind: Mapped[NoticeKind] = mapped_column(enum_column(NoticeKind))
    # EndpointHealth.failing_since as it was announced; of a `gone`, its own moment.
    streak_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # What a warning promises: no earlier than this.
    disable_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Unset once there is nothing left to send.
    mail_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    mail_tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    mailed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("uq_notices_streak", "endpoint_id", "kind", "streak_at", unique=True),
        Index("ix_notices_mail", "created_at", sqlite_where=_UNSENT, postgresql_where=_UNSENT),
    )


class Heartbeat(Base):
    """When a periodic job last ran. In SQL, because a Redis that is gone is one of the things to notice."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
