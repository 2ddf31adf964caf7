"""Listeners: endpoints for as long as a program asks for their deliveries."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, public_id


class Listener(Base):
    """Who fetches the deliveries of an endpoint, and until when it waits to hear from them again.

    A token has one for each name. Once it has ended, its endpoint is deleted; under the same name the next
    one is the same endpoint again, so that its signing secret and its log stay.
    """

    __tablename__ = "listeners"

    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True)
    token_id: Mapped[str] = mapped_column(ForeignKey("api_tokens.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    # Where the program says that it hands deliveries on to, for people; without what may be secret in it.
    forward_to: Mapped[str] = mapped_column(String(2048))
    # The session of the program that began last under the name; any others are told that it took over.
    session_id: Mapped[str] = mapped_column(public_id())
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (UniqueConstraint("token_id", "name"),)
