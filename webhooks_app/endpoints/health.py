"""How an endpoint does now, in the words of docs/health.md. Only reads.

A state says what holds now, not what happened today: it is made of the failures since the last success and of
what still waits for a retry, so that it goes back to healthy by itself once everything has arrived. It is
one SQL expression, so that a list can be filtered, counted and sorted by it, and no page says otherwise.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session, joinedload

from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, OutcomeDescription, hint_for
from webhooks_app.core.outcomes import PLATFORM_FAILURES, OutcomeClass, classify_status
from webhooks_app.db.models import (
    Delivery,
    Endpoint,
    EndpointHealth,
    EndpointState,
    Notice,
    NoticeKind,
)

# Fewer in a row may be a restart or one odd event; a delivery comes to the third within about five minutes.
FAILURES_TO_FAIL = 3
# Deliveries that were replayed without having failed wait among those that did; no more are looked through.
RETRIES_LOOKED_AT = 20
# Above a log of all endpoints.
FAILING_NAMED = 3


class HealthState(StrEnum):
    """In the order of the document."""

    FAILING = "failing"
    AUTO_DISABLED = "auto_disabled"
    DEGRADED = "degraded"
    UNTRIED = "untried"
    HEALTHY = "healthy"
    DISABLED = "disabled"

    @property
    def label(self) -> str:
        return STATE_DESCRIPTIONS[self].label

    @property
    def meaning(self) -> str:
        return STATE_DESCRIPTIONS[self].meaning


class StateDescription(NamedTuple):
    label: str
    meaning: str


STATE_DESCRIPTIONS = {
    HealthState.FAILING: StateDescription(
        "Failing",
        "The last three attempts or more failed, or none ever succeeded, or nothing can be signed for it.",
    ),
    HealthState.AUTO_DISABLED: StateDescription(
        "Auto-disabled",
        "The platform disabled it, because it answered 410 Gone or did nothing but fail for days.",
    ),
    HealthState.DEGRADED: StateDescription(
        "Degraded", "It accepts deliveries, but some failed and wait for another attempt."
    ),
    HealthState.UNTRIED: StateDescription(
        "Untried", "Nothing but tests was sent to it since it was added, or since it was enabled again."
    ),
    HealthState.HEALTHY: StateDescription(
        "Healthy", "The last attempt succeeded, and no failed delivery waits for another one."
    ),
    HealthState.DISABLED: StateDescription(
        "Disabled", "A person disabled it: nothing is sent, and its deliveries are held."
    ),
}
NEEDS_ATTENTION = (HealthState.FAILING, HealthState.AUTO_DISABLED)
WRONG = (*NEEDS_ATTENTION, HealthState.DEGRADED)


def state() -> ColumnElement[str]:
    """Return the state as SQL, for a query that joins Endpoint and EndpointHealth."""
    is_disabled = Endpoint.state == EndpointState.DISABLED
    whens = (
        (and_(is_disabled, _is_disabled_by_platform()), HealthState.AUTO_DISABLED),
        (is_disabled, HealthState.DISABLED),
        (_is_failing(), HealthState.FAILING),
        (_is_degraded(), HealthState.DEGRADED),
        (_is_untried(), HealthState.UNTRIED),
    )
    words = [(condition, literal(found.value)) for condition, found in whens]
    return case(*words, else_=literal(HealthState.HEALTHY.value))


def rank(state_expression: ColumnElement[str]) -> ColumnElement[int]:
    """Return the place of a state in a list, as SQL: what is wrong comes first, all else has one place."""
    places = {each.value: place for place, each in enumerate(WRONG)}
    return case(places, value=state_expression, else_=len(places))


def read(session: Session, endpoint_id: str) -> HealthState:
    """Return the state of an endpoint that exists, in one query."""
    joined = select(state()).join(EndpointHealth, EndpointHealth.endpoint_id == Endpoint.id)
    return HealthState(session.execute(joined.where(Endpoint.id == endpoint_id)).scalar_one())


def count_states(session: Session, workspace_id: str) -> dict[HealthState, int]:
    """Return how many of the workspace's endpoints are in each state; those that none is in are left out."""
    states = (
        select(state().label("state"))
        .select_from(Endpoint)
        .join(EndpointHealth, EndpointHealth.endpoint_id == Endpoint.id)
        .where(Endpoint.is_kept_in(workspace_id))
        .subquery()
    )
    rows = session.execute(select(states.c.state, func.count()).group_by(states.c.state)).all()
    return {HealthState(found): count for found, count in rows}


def read_failing(session: Session, workspace_id: str, *, limit: int = FAILING_NAMED) -> Sequence[Endpoint]:
    """Return the workspace's endpoints that are failing, the longest first, and one more than `limit`."""
    return session.scalars(
        select(Endpoint)
        .join(EndpointHealth, EndpointHealth.endpoint_id == Endpoint.id)
        .options(joinedload(Endpoint.health))
        .where(Endpoint.is_kept_in(workspace_id))
        .where(EndpointHealth.failing_since.is_not(None), state() == HealthState.FAILING.value)
        .order_by(EndpointHealth.failing_since)
        .limit(limit + 1)
    ).all()


class LastFailure(NamedTuple):
    """Why the last attempt that failed did; `code` is the status it was answered with, if there was one."""

    at: datetime
    code: str
    description: OutcomeDescription
    hint: str

    @property
    def label(self) -> str:
        return f"{self.code} {self.description.label}".strip()


def last_failure(endpoint_health: EndpointHealth) -> LastFailure | None:
    at, outcome = endpoint_health.last_failure_at, endpoint_health.last_failure_outcome
    if at is None or outcome is None:
        return None
    status = endpoint_health.last_failure_status
    # Code from before an upgrade writes the outcome without the status that belongs to it.
    is_current = status is not None and classify_status(status) == outcome
    code, kind = str(status) if is_current else "", OutcomeClass(outcome)
    return LastFailure(at, code, DESCRIPTIONS[kind], hint_for(kind, status if is_current else None))


def _is_disabled_by_platform() -> ColumnElement[bool]:
    by_platform = (NoticeKind.DISABLED, NoticeKind.GONE)
    return (
        select(Notice.id)
        .where(Notice.endpoint_id == Endpoint.id, Notice.kind.in_(by_platform))
        .where(Notice.created_at == Endpoint.disabled_at)
        .correlate(Endpoint)
        .exists()
    )


def _is_failing() -> ColumnElement[bool]:
    return or_(
        EndpointHealth.failure_count >= FAILURES_TO_FAIL,
        and_(EndpointHealth.failing_since.is_not(None), EndpointHealth.last_success_at.is_(None)),
        _last_failed_with([OutcomeClass.SECRET]),
    )


def _is_degraded() -> ColumnElement[bool]:
    return or_(
        EndpointHealth.failing_since.is_not(None),
        _last_failed_with(sorted(PLATFORM_FAILURES)),
        _has_retries(),
    )


def _is_untried() -> ColumnElement[bool]:
    # Enabling ends a streak of failures without a success.
    return or_(
        EndpointHealth.last_success_at.is_(None),
        EndpointHealth.last_failure_at > EndpointHealth.last_success_at,
    )


def _last_failed_with(outcomes: Sequence[OutcomeClass]) -> ColumnElement[bool]:
    """Failures of the platform's own start no streak, so they are told by the last failure."""
    return and_(
        EndpointHealth.last_failure_outcome.in_([each.value for each in outcomes]),
        or_(
            EndpointHealth.last_success_at.is_(None),
            EndpointHealth.last_success_at < EndpointHealth.last_failure_at,
        ),
    )


def _has_retries() -> ColumnElement[bool]:
    """A failed delivery waits for another attempt: one probe of the index of what needs attention."""
    some: Any = (
        select(Delivery.last_outcome)
        .where(Delivery.endpoint_id == Endpoint.id, Delivery.attention_state == "retrying")
        .limit(RETRIES_LOOKED_AT)
        .correlate(Endpoint)
        .subquery()
    )
    return select(literal(1)).where(some.c.last_outcome != OutcomeClass.SUCCESS.value).exists()
