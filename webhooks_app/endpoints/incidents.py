"""What is known of an incident: since when, the newest failures, last success and last change. Only reads.

Everything is bounded and found by an index: the cost is that of LOOKED_AT failures, however many there are.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, func, not_, select
from sqlalchemy.orm import Session

from webhooks_app.core import text_display
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.models import Attempt, Delivery, DeliveryState, Endpoint
from webhooks_app.endpoints import incident_context
from webhooks_app.endpoints.health import HealthState
from webhooks_app.endpoints.incident_context import HEAD_COLUMNS, LastSuccess, SettingChange

# Of each state that a failed delivery can be in: enough to tell what goes wrong, read within a few ms.
LOOKED_AT = 150
BODY_BYTES = 2048
_OPEN_STATES = ("retrying", DeliveryState.HELD.value, DeliveryState.FAILED.value)
_AWAY = (HealthState.HEALTHY, HealthState.UNTRIED, HealthState.DISABLED)


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """The last attempt of a delivery that is not delivered; head and body are as they came, cut."""

    delivery_id: str
    event_type: str
    at: datetime
    outcome: OutcomeClass
    status: int | None
    detail: str
    remote_address: str
    head: bytes
    body: bytes
    is_cut: bool


class AnswerDifference(NamedTuple):
    """`what` is `address` or `server`: where answers come from, and what calls itself their server."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Incident:
    """`failures` are the newest; `is_all` says that these are all. `change` is the last there was."""

    since: datetime
    attempt_count: int
    failures: list[FailedAttempt]
    is_all: bool
    last_success: LastSuccess | None
    change: SettingChange | None

    @property
    def event_types(self) -> tuple[str, ...]:
        return tuple(sorted({failure.event_type for failure in self.failures}))

    @property
    def differences(self) -> list[AnswerDifference]:
        """What the newest failure and the last success differ in, as far as both are known."""
        if self.last_success is None or not self.last_success.delivery_id or not self.failures:
            return []
        before, after = self.last_success, self.failures[0]
        pairs = (
            AnswerDifference("address", before.remote_address, after.remote_address),
            AnswerDifference("server", _server(before.head), _server(after.head)),
        )
        return [each for each in pairs if each.before and each.after and each.before != each.after]

    @property
    def is_changed_since(self) -> bool:
        """Whether the last change came after the last success."""
        if self.change is None:
            return False
        return self.last_success is None or self.change.at > self.last_success.at


def read(session: Session, endpoint: Endpoint, state: HealthState) -> Incident | None:
    """Return the incident of an endpoint that has one."""
    if state in _AWAY:
        return None
    since = _since(session, endpoint)
    if since is None:
        return None
    failures, is_all = _read_failures(session, endpoint.id, since)
    return Incident(
        since,
        endpoint.health.failure_count,
        failures,
        is_all,
        incident_context.read_last_success(session, endpoint),
        incident_context.read_change(session, endpoint.id),
    )


def _since(session: Session, endpoint: Endpoint) -> datetime | None:
    """Return when it began: with the streak of failures or, without one, with the oldest that is retried."""
    if endpoint.health.failing_since is not None:
        return endpoint.health.failing_since
    oldest = (
        select(Attempt.started_at)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(Delivery.id == _oldest_retrying(endpoint.id).scalar_subquery())
        .order_by(Attempt.generation)
        .limit(1)
    )
    return session.scalar(oldest) or endpoint.health.last_failure_at


def _oldest_retrying(endpoint_id: str) -> Select[Any]:
    return (
        select(Delivery.id)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.attention_state == "retrying")
        .where(Delivery.last_outcome != OutcomeClass.SUCCESS.value)
        .order_by(Delivery.id)
        .limit(1)
    )


def _read_failures(session: Session, endpoint_id: str, since: datetime) -> tuple[list[FailedAttempt], bool]:
    """Return the newest failures since then, and whether these are all.

    They are LOOKED_AT at most of each state that a failed delivery can be in.
    """
    by_state = [
        [_failed_attempt(row) for row in session.execute(_newest_failures(endpoint_id, state, since))]
        for state in _OPEN_STATES
    ]
    found = sorted((each for some in by_state for each in some), key=lambda each: each.at, reverse=True)
    return found, all(len(some) < LOOKED_AT for some in by_state)


def _newest_failures(endpoint_id: str, state: str, since: datetime) -> Select[Any]:
    # The index gives the newest deliveries first; what failed before the incident lies behind them.
    newest = (
        select(Delivery.id)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.attention_state == state)
        .order_by(Delivery.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    has_failed = and_(
        Delivery.last_outcome != OutcomeClass.SUCCESS.value,
        Delivery.last_attempt_at >= since,
        not_(Delivery.is_test),
    )
    return (
        select(
            Delivery.id,
            Delivery.event_type,
            Delivery.last_attempt_at,
            Delivery.last_outcome,
            Delivery.last_status,
            Attempt.detail,
            Attempt.remote_address,
            func.substr(Attempt.response_body, 1, BODY_BYTES).label("body"),
            (func.length(Attempt.response_body) > BODY_BYTES).label("is_cut"),
            *HEAD_COLUMNS,
        )
        .join(newest, newest.c.id == Delivery.id)
        .outerjoin(
            Attempt,
            and_(Attempt.delivery_id == Delivery.id, Attempt.generation == Delivery.generation),
        )
        .where(has_failed)
    )


def _failed_attempt(row: Any) -> FailedAttempt:
    return FailedAttempt(
        row.id,
        row.event_type,
        row.last_attempt_at,
        OutcomeClass(row.last_outcome),
        row.last_status,
        row.detail or "",
        row.remote_address or "",
        incident_context.response_head(row),
        bytes(row.body or b""),
        bool(row.is_cut),
    )


def _server(head: bytes) -> str:
    _, headers = text_display.parse_header_block(head)
    return next((value for name, value in headers if name.lower() == "server"), "")
