"""What the list of endpoints shows, and what waits for one endpoint. Only reads."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, literal, or_, select
from sqlalchemy.orm import Session, joinedload

from webhooks_app.core.outcomes import DESCRIPTIONS, OutcomeClass, OutcomeDescription
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, PendingDelivery, Subscription
from webhooks_app.endpoints import attempt_stats, charts
from webhooks_app.endpoints.charts import Bars

HEALTH_STATES = ("failing", "disabled", "enabled")  # what needs attention comes first
BAR_WIDTH, BAR_HEIGHT = 192, 28
# Counting further would take longer than the answer is worth.
COUNT_LIMIT = 10_000


@dataclass(slots=True, frozen=True)
class EndpointRow:
    """An endpoint in the list; `hours` are (succeeded, failed) of the last 24, oldest first."""

    endpoint: Endpoint
    event_count: int
    hours: list[tuple[int, int]]

    @property
    def bars(self) -> Bars:
        return charts.bars(self.hours, width=BAR_WIDTH, height=BAR_HEIGHT, gap=2)

    @property
    def label(self) -> str:
        failed = sum(bad for _, bad in self.hours)
        total = sum(good for good, _ in self.hours) + failed
        if not total:
            return "No attempt"
        attempts = f"{total:,} {'attempt' if total == 1 else 'attempts'}"
        return attempts + (f", {failed:,} failed" if failed else "")

    @property
    def last_failure(self) -> OutcomeDescription | None:
        return last_failure(self.endpoint)


@dataclass(slots=True, frozen=True)
class Backlog:
    """Pending deliveries of an endpoint: how many (no further than COUNT_LIMIT) and when the next is due."""

    count: int
    next_attempt_at: datetime | None


def read_rows(session: Session, workspace_id: str, search: str, now: datetime) -> list[EndpointRow]:
    """Return the workspace's endpoints that match, those that need attention first, in three queries."""
    statement = (
        select(Endpoint)
        .options(joinedload(Endpoint.health))
        .where(Endpoint.workspace_id == workspace_id, Endpoint.deleted_at.is_(None))
    )
    if search:
        statement = statement.where(
            or_(
                Endpoint.name.icontains(search, autoescape=True),
                _address_holds(search),
            )
        )
    found = session.scalars(statement).all()
    counts, days = _event_counts(session, workspace_id), attempt_stats.read_day(session, workspace_id, now)
    silent = [(0, 0)] * attempt_stats.DAY.bins
    rows = [EndpointRow(each, counts.get(each.id, 0), days.get(each.id, silent)) for each in found]
    return sorted(rows, key=_attention_order)


def _address_holds(search: str) -> ColumnElement[bool]:
    """The URL holds it before its query: whoever may not read what is in there must not find it either."""
    return and_(Endpoint.url.regexp_match(f"(?i)^[^?]*{re.escape(search)}"), literal("?" not in search))


def read_backlog(session: Session, endpoint_id: str) -> Backlog:
    mine = PendingDelivery.endpoint_id == endpoint_id
    some = select(PendingDelivery.delivery_id).where(mine).limit(COUNT_LIMIT).subquery()
    count = session.scalar(select(func.count()).select_from(some)) or 0
    next_attempt_at = session.scalar(select(func.min(PendingDelivery.next_attempt_at)).where(mine))
    return Backlog(count, next_attempt_at)


def has_failed(session: Session, endpoint_id: str) -> bool:
    """Tell whether deliveries to it failed for good and were not replayed since."""
    failed = Delivery.endpoint_id == endpoint_id, Delivery.attention_state == DeliveryState.FAILED.value
    return session.scalar(select(Delivery.id).where(*failed).limit(1)) is not None


def last_failure(endpoint: Endpoint) -> OutcomeDescription | None:
    outcome = endpoint.health.last_failure_outcome
    return DESCRIPTIONS[OutcomeClass(outcome)] if outcome else None


def _event_counts(session: Session, workspace_id: str) -> dict[str, int]:
    rows = session.execute(
        select(Subscription.endpoint_id, func.count())
        .join(Endpoint, Endpoint.id == Subscription.endpoint_id)
        .where(Endpoint.workspace_id == workspace_id, Endpoint.deleted_at.is_(None))
        .group_by(Subscription.endpoint_id)
    )
    return {row[0]: row[1] for row in rows}


def _attention_order(row: EndpointRow) -> tuple[int, str, str]:
    endpoint = row.endpoint
    return HEALTH_STATES.index(endpoint.health_state), endpoint.name.casefold(), endpoint.id
