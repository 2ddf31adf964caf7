"""What waits for the end of a rolling upgrade; see `db/rolling_upgrades.py`."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from webhooks_app.db.models.base import Base, UtcDateTime


class RollingUpgrade(Base):
    """A change of the schema or of how rows are written, and when it may come into force."""

    __tablename__ = "rolling_upgrades"

    change: Mapped[str] = mapped_column(String(64), primary_key=True)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
