"""What the processes of the platform report of themselves, and how much was waiting lately."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime, public_id


class ProcessReport(Base):
    """One process of the platform, as it last reported; in SQL, because Redis may be what is gone.

    The counters of a process that is over are added to the row with the id `TOTAL_ID`, and its own row goes.
    """

    __tablename__ = "process_reports"

    id: Mapped[str] = mapped_column(public_id(), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    host: Mapped[str] = mapped_column(String(64))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # By the database's clock, which is the same for all hosts.
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # How far the host's clock is ahead of the database's.
    clock_ahead_ms: Mapped[int] = mapped_column(BigInteger)
    # When it ended of its own accord; unset for one that was killed.
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # What it is at: requests in flight, connections of its pool, what is the matter with its Redis.
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    # The newest way of storing rows that it reads: `monitoring/own_report.py`; NULL from the previous
    # version.
    reads_format: Mapped[int | None] = mapped_column(SmallInteger)
    # What it has counted since its start: see `monitoring/counters.py`.
    counters: Mapped[dict[str, float]] = mapped_column(JSON)


TOTAL_ID = "total"


class BacklogSample(Base):
    """How many deliveries waited at a moment. Kept for an hour, to tell where the backlog is going."""

    __tablename__ = "backlog_samples"

    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    pending: Mapped[int] = mapped_column(Integer)
    due: Mapped[int] = mapped_column(Integer)
    held: Mapped[int] = mapped_column(Integer)
    oldest_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The endpoints with most due deliveries: [[id, due], …].
    endpoints: Mapped[list[list[Any]]] = mapped_column(JSON)
    # How long the count took. The next one is made after many times as long.
    duration_ms: Mapped[int] = mapped_column(Integer)
