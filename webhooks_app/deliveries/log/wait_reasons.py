"""What a delivery that is due waits for: a pause of its endpoint, a rate limit, those before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, aliased

from webhooks_app.db.models import Endpoint, EndpointHealth, PendingDelivery
from webhooks_app.monitoring import reports
from webhooks_app.monitoring.reports import ConcurrencyUse
from webhooks_app.worker.endpoint_rate_limits import LONGEST_WAIT, QUOTA_SECONDS

# For each of 25 rows: what lies further ahead changes nothing for whoever reads it.
COUNTED_AHEAD = 250
# Below this each one counts, above they are rounded, so that a row is not drawn anew with every request sent.
_EXACT_AHEAD, _ROUNDED_TO = 20, 10


@dataclass(frozen=True, slots=True)
class Wait:
    """`ahead` deliveries of the endpoint go first, counted up to COUNTED_AHEAD and rounded down.

    `paused_until` is set while the endpoint is left alone because it sent `Retry-After`, `concurrency` where
    the endpoint has as many requests in flight as it may.
    """

    ahead: int
    rate_per_second: int | None
    paused_until: datetime | None
    concurrency: ConcurrencyUse | None = None

    @property
    def is_all(self) -> bool:
        return self.ahead < COUNTED_AHEAD

    @property
    def ahead_label(self) -> str:
        """Return `3`, `about 120`, `250 or more`."""
        if not self.is_all:
            return f"{COUNTED_AHEAD} or more"
        return f"about {self.ahead}" if self.ahead > _EXACT_AHEAD else str(self.ahead)

    @property
    def seconds(self) -> int | None:
        """How long the rate limit alone takes for those ahead, at least."""
        return self.ahead // self.rate_per_second if self.rate_per_second else None


def read_waits(session: Session, delivery_ids: Sequence[str], *, now: datetime) -> dict[str, Wait]:
    """Return by id what each of the deliveries waits for that is due and not being sent, in two queries."""
    if not delivery_ids:
        return {}
    rows = session.execute(
        select(
            PendingDelivery.delivery_id,
            PendingDelivery.endpoint_id,
            _count_ahead(),
            Endpoint.rate_per_second,
            EndpointHealth.rate_free_at,
        )
        .join(Endpoint, Endpoint.id == PendingDelivery.endpoint_id)
        .join(EndpointHealth, EndpointHealth.endpoint_id == Endpoint.id)
        .where(PendingDelivery.delivery_id.in_(delivery_ids), PendingDelivery.next_attempt_at <= now)
    ).all()
    by_endpoint = reports.read_concurrency(session, now) if rows else {}
    full = {
        endpoint_id: concurrency for endpoint_id, concurrency in by_endpoint.items() if concurrency.is_full
    }
    return {
        delivery_id: Wait(_rounded(ahead), rate, paused_until(free_at, rate, now=now), full.get(endpoint_id))
        for delivery_id, endpoint_id, ahead, rate, free_at in rows
    }


def paused_until(free_at: datetime | None, rate_per_second: int | None, *, now: datetime) -> datetime | None:
    """Return until when the endpoint is paused. Pure.

    Rate limits and pauses share a column: what lies further ahead than the limit reaches is a pause.
    """
    if free_at is None or not now < free_at <= now + LONGEST_WAIT:
        return None
    limit_reaches = (
        timedelta(seconds=max(1 / rate_per_second, QUOTA_SECONDS)) if rate_per_second else timedelta()
    )
    return free_at if free_at - now > limit_reaches else None


def _count_ahead() -> Any:
    """The deliveries of the same endpoint that were due earlier, as the claim takes them."""
    other = aliased(PendingDelivery)
    some = (
        select(other.delivery_id)
        .where(other.endpoint_id == PendingDelivery.endpoint_id)
        .where(
            tuple_(other.next_attempt_at, other.delivery_id)
            < tuple_(PendingDelivery.next_attempt_at, PendingDelivery.delivery_id)
        )
        .limit(COUNTED_AHEAD)
        .correlate(PendingDelivery)
        .subquery()
    )
    return select(func.count()).select_from(some).scalar_subquery()


def _rounded(ahead: int) -> int:
    return ahead if ahead <= _EXACT_AHEAD else ahead - ahead % _ROUNDED_TO
