"""Sums of attempts by how they were answered and by event type: what the charts of traffic are drawn from."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, enum_column, public_id


class Facet(StrEnum):
    """What attempts are told apart by."""

    RESPONSE = "response"
    EVENT_TYPE = "event_type"


class TrafficCount(Base):
    """Attempts of an endpoint or of a whole workspace that began in one interval, by one facet.

    `name` is the event type, or how the attempt ended: the status that was answered, `404`, or without one
    the outcome, `timeout`. An interval has 5 minutes; after two hours an hourly job adds it to that of its
    hour, which has 60. No foreign key, as a scope is either of two; the rows of a deleted endpoint are
    deleted once they are old enough.
    """

    __tablename__ = "traffic_counts"

    scope_id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    facet: Mapped[Facet] = mapped_column(enum_column(Facet), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    minutes: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    # How many of them failed.
    failed: Mapped[int] = mapped_column(Integer)

    # For adding intervals up and for deleting: the oldest of one length.
    __table_args__ = (Index("ix_traffic_counts_age", "minutes", "starts_at"),)
