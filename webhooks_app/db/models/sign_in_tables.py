"""How people sign in: their sessions."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id

LONGEST_USER_AGENT = 300


class SignInMethod(StrEnum):
    """`UNKNOWN`: of a version that did not keep it."""

    PASSWORD = "password"
    INVITATION = "invitation"
    PASSKEY = "passkey"
    SSO = "sso"
    UNKNOWN = "unknown"


class UserSession(Base):
    """A browser in which somebody is logged in. One that has ended stays for a while, as a refusal."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # SHA-256 of what the cookie holds.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    method: Mapped[SignInMethod] = mapped_column(enum_column(SignInMethod))
    # From where, and with which browser, it was last used.
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(LONGEST_USER_AGENT))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_sessions_user_id", "user_id", "last_seen_at"),)
