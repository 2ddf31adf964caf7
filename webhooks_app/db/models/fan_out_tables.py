"""What is accepted and not yet fanned out: more deliveries than one transaction may insert."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Integer
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, public_id


class FanOut(Base):
    """The deliveries that events still have to get, committed together with the events themselves.

    `position` is how many of the plan's deliveries are inserted; whoever moves it must name where it stood,
    so that each is inserted once however many are at it. Nobody but who took it works on it until
    `taken_until`. The row goes with its last delivery, so the table is empty but for moments.
    """

    __tablename__ = "fan_outs"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    # As `events/fan_out_plan.py` writes it.
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    position: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    taken_until: Mapped[datetime] = mapped_column(UtcDateTime)
