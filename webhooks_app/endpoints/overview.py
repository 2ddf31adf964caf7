"""What waits for one endpoint. Only reads."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, not_, select
from sqlalchemy.orm import Session

from webhooks_app.core import clock
from webhooks_app.db.models import Delivery, DeliveryState, PendingDelivery

# Counting further would take longer than the answer is worth.
COUNT_LIMIT = 10_000


@dataclass(slots=True, frozen=True)
class Backlog:
    """Pending deliveries of an endpoint: how many (no further than COUNT_LIMIT), and when the next is due.

    Those that are being sent count as pending, but say nothing about the next attempt.
    """

    count: int
    next_attempt_at: datetime | None


def read_backlog(session: Session, endpoint_id: str) -> Backlog:
    mine = PendingDelivery.endpoint_id == endpoint_id
    some = select(PendingDelivery.delivery_id).where(mine).limit(COUNT_LIMIT).subquery()
    count = session.scalar(select(func.count()).select_from(some)) or 0
    # A claim moves a delivery to the end of its lease, which is no attempt that is to come.
    to_come = not_(PendingDelivery.is_being_sent(clock.now()))
    next_attempt_at = session.scalar(
        select(PendingDelivery.next_attempt_at)
        .where(mine, to_come)
        .order_by(PendingDelivery.next_attempt_at)
        .limit(1)
    )
    return Backlog(count, next_attempt_at)


def count_retrying(session: Session, endpoint_id: str) -> int:
    """Count the deliveries to it that wait for another attempt, no further than COUNT_LIMIT."""
    retrying = Delivery.endpoint_id == endpoint_id, Delivery.attention_state == "retrying"
    some = select(Delivery.id).where(*retrying).limit(COUNT_LIMIT).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def has_failed(session: Session, endpoint_id: str) -> bool:
    """Tell whether deliveries to it failed for good and were not replayed since."""
    failed = Delivery.endpoint_id == endpoint_id, Delivery.attention_state == DeliveryState.FAILED.value
    return session.scalar(select(Delivery.id).where(*failed).limit(1)) is not None
