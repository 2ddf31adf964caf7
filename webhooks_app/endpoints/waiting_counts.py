"""What waits for endpoints. Only reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ScalarSelect, Select, func, not_, select
from sqlalchemy.orm import Session

from webhooks_app.core import clock
from webhooks_app.db.keyset import COUNT_LIMIT
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, PendingDelivery

# A list has fifty endpoints, each of which is counted so far at most.
LISTED_LIMIT = 500


@dataclass(slots=True, frozen=True)
class Backlog:
    """What waits at an endpoint, each counted no further than COUNT_LIMIT.

    `count` are all that are pending, `retrying` those of them that have failed before. `next_attempt_at` is
    when the next is due: those that are being sent count, but say nothing about that.
    """

    count: int
    retrying: int
    held: int
    next_attempt_at: datetime | None

    @property
    def untried(self) -> int:
        return max(0, self.count - self.retrying)

    @property
    def total(self) -> int:
        return self.count + self.held


def read_backlog(session: Session, endpoint_id: str) -> Backlog:
    mine = PendingDelivery.endpoint_id == endpoint_id
    # A claim moves a delivery to the end of its lease, which is no attempt that is to come.
    to_come = not_(PendingDelivery.is_being_sent(clock.now()))
    next_attempt_at = (
        select(PendingDelivery.next_attempt_at)
        .where(mine, to_come)
        .order_by(PendingDelivery.next_attempt_at)
        .limit(1)
    )
    counts = session.execute(
        select(
            _count(select(PendingDelivery.delivery_id).where(mine)),
            _count(_in_state(endpoint_id, "retrying")),
            _count(_in_state(endpoint_id, DeliveryState.HELD.value)),
            next_attempt_at.scalar_subquery(),
        )
    ).one()
    return Backlog(*counts)


class Waiting(NamedTuple):
    """Deliveries of one endpoint that are pending, or held, each counted up to LISTED_LIMIT."""

    pending: int
    held: int

    @property
    def label(self) -> str:
        """Return `12 waiting`, `500+ held`, or nothing."""
        counts = ((self.pending, "waiting"), (self.held, "held"))
        return ", ".join(
            f"{count}{'+' if count >= LISTED_LIMIT else ''} {what}" for count, what in counts if count
        )


def read_waiting(session: Session, endpoint_ids: Sequence[str]) -> dict[str, Waiting]:
    """Return what waits for each of the endpoints, in one query."""
    queued = select(PendingDelivery.delivery_id).where(PendingDelivery.endpoint_id == Endpoint.id)
    held = select(Delivery.id).where(
        Delivery.endpoint_id == Endpoint.id, Delivery.attention_state == DeliveryState.HELD.value
    )
    counts = [
        select(func.count())
        .select_from(some.correlate(Endpoint).limit(LISTED_LIMIT).subquery())
        .scalar_subquery()
        for some in (queued, held)
    ]
    rows = session.execute(select(Endpoint.id, *counts).where(Endpoint.id.in_(endpoint_ids)))
    return {endpoint_id: Waiting(*both) for endpoint_id, *both in rows}


def count_retrying(session: Session, endpoint_id: str) -> int:
    """Count the deliveries to it that wait for another attempt, no further than COUNT_LIMIT."""
    return session.scalar(select(_count(_in_state(endpoint_id, "retrying")))) or 0


def count_held(session: Session, endpoint_id: str) -> int:
    """Count the deliveries that are held for it, no further than COUNT_LIMIT."""
    return session.scalar(select(_count(_in_state(endpoint_id, DeliveryState.HELD.value)))) or 0


def has_failed(session: Session, endpoint_id: str) -> bool:
    """Return whether deliveries to it, tests aside, failed for good and were not replayed since."""
    failed = _in_state(endpoint_id, DeliveryState.FAILED.value).where(not_(Delivery.is_test))
    return session.scalar(failed.limit(1)) is not None


def _in_state(endpoint_id: str, state: str) -> Select[Any]:
    return select(Delivery.id).where(Delivery.endpoint_id == endpoint_id, Delivery.attention_state == state)


def _count(some: Select[Any]) -> ScalarSelect[Any]:
    return select(func.count()).select_from(some.limit(COUNT_LIMIT).subquery()).scalar_subquery()
