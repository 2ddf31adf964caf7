"""Deliveries as the log shows them: what is stored, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from webhooks_app.core import clock, ids, url_masking
from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, OutcomeDescription
from webhooks_app.core.outcomes import OutcomeClass, response_name
from webhooks_app.db import event_values
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, EndpointState, Event, PendingDelivery
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.deliveries.log.filters import Status
from webhooks_app.deliveries.log.wait_reasons import Wait, read_waits


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """`attempts_in_schedule` are the attempts of the schedule now running, `attempt_count` all there were.

    `is_manual_due` says that the next attempt is one beside the schedule, which `next_attempt_at` is of.
    `indexed_values` are those of its event; None where they are not known yet.
    """

    id: str
    event_id: str
    event_type: str
    state: DeliveryState
    created_at: datetime
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    finished_at: datetime | None
    attempts_in_schedule: int
    attempt_count: int
    last_outcome: str | None
    last_status: int | None
    last_duration_ms: int | None
    is_being_sent: bool
    is_manual_due: bool
    is_test: bool
    endpoint_id: str
    endpoint_name: str
    full_endpoint_url: str
    endpoint_state: EndpointState
    endpoint_deleted_at: datetime | None
    is_listener: bool
    payload_erased_at: datetime | None
    indexed_values: list[str] | None
    # Set for a delivery that is due and that nobody sends.
    wait: Wait | None = None

    @property
    def endpoint_url(self) -> str:
        """The URL as people may read it: without the parts that would give a reader access."""
        return url_masking.mask_url(self.full_endpoint_url)

    @property
    def status(self) -> Status:
        if self.state is not DeliveryState.PENDING:
            return Status(self.state.value)
        if self.is_being_sent:
            return Status.SENDING
        return Status.RETRYING if self.attempt_count else Status.PENDING

    @property
    def version(self) -> str:
        """Differs whenever the row looks different; in an address, so letters, digits and dashes only."""
        due = int(self.next_attempt_at.timestamp() * 1000) if self.next_attempt_at else 0
        manual = "-m" if self.is_manual_due else ""
        version = f"{self.status}-{self.attempt_count}-{self.attempts_in_schedule}-{due}"
        return f"{version}{manual}{self._wait_version}"

    @property
    def _wait_version(self) -> str:
        if self.wait is None:
            return ""
        paused = int(self.wait.paused_until.timestamp()) if self.wait.paused_until else 0
        full = f"-{self.wait.concurrency.in_flight}" if self.wait.concurrency else ""
        return f"-{self.wait.ahead}-{paused}{full}"

    @property
    def outcome_description(self) -> OutcomeDescription | None:
        """Of the last attempt."""
        return DESCRIPTIONS[OutcomeClass(self.last_outcome)] if self.last_outcome else None

    @property
    def is_success(self) -> bool:
        return self.last_outcome == OutcomeClass.SUCCESS

    @property
    def response(self) -> str:
        """The status code where the endpoint answered, else the label of what went wrong."""
        return response_label(self.last_outcome, self.last_status)

    @property
    def is_fresh(self) -> bool:
        """Replayed and not attempted since: the last outcome is of an earlier schedule."""
        return self.can_change and self.attempt_count > 0 and self.attempts_in_schedule == 0

    @property
    def can_change(self) -> bool:
        return self.state is DeliveryState.PENDING

    def is_due(self, now: datetime) -> bool:
        return self.is_manual_due or (self.next_attempt_at is not None and self.next_attempt_at <= now)

    @property
    def is_deleted(self) -> bool:
        return self.endpoint_deleted_at is not None

    @property
    def is_reachable(self) -> bool:
        """Whether anything can be sent to its endpoint."""
        return not self.is_deleted and self.endpoint_state is EndpointState.ENABLED

    @property
    def can_replay(self) -> bool:
        is_over = self.state is not DeliveryState.PENDING
        return self.is_reachable and is_over and self.payload_erased_at is None

    @property
    def can_send_now(self) -> bool:
        return self.is_reachable and self.status in (Status.RETRYING, Status.PENDING)

    @property
    def can_cancel(self) -> bool:
        return self.status in (Status.RETRYING, Status.PENDING)


def response_label(outcome: str | None, status: int | None) -> str:
    if outcome is None:
        return ""
    kind = OutcomeClass(outcome)
    name = response_name(kind, status)
    return name if name.isdigit() else DESCRIPTIONS[kind].label


def read_rows(
    session: Session, workspace_id: str, delivery_ids: Sequence[str], *, with_waits: bool = True
) -> list[DeliveryRow]:
    """Return the deliveries in the order of the ids, without those that are gone or another workspace's.

    `with_waits` asks what those wait for that are due.
    """
    named = [each for each in delivery_ids if ids.is_id("dlv", each)]
    if not named:
        return []
    result = session.execute(_select().where(Delivery.workspace_id == workspace_id, Delivery.id.in_(named)))
    rows = {row.id: _row(*row) for row in result}
    if with_waits:
        _add_waits(session, rows)
    return [rows[each] for each in delivery_ids if each in rows]


def _row(*columns: Any) -> DeliveryRow:
    *others, listed, first, second, third = columns
    return DeliveryRow(*[*others, event_values.all_of(listed, (first, second, third))])


def _add_waits(session: Session, rows: dict[str, DeliveryRow]) -> None:
    now = clock.now()
    waiting = [row.id for row in rows.values() if row.can_cancel and row.is_due(now)]
    for delivery_id, wait in read_waits(session, waiting, now=now).items():
        rows[delivery_id] = replace(rows[delivery_id], wait=wait)


def read_row(
    session: Session, workspace_id: str, delivery_id: str, *, with_waits: bool = True
) -> DeliveryRow | None:
    return next(iter(read_rows(session, workspace_id, [delivery_id], with_waits=with_waits)), None)


def _select() -> Select[*tuple[Any, ...]]:
    """Select the columns in the order of DeliveryRow's fields, and those of the event's values."""
    return (
        select(
            Delivery.id,
            Delivery.event_id,
            Delivery.event_type,
            Delivery.state,
            Delivery.created_at,
            Delivery.next_attempt_at,
            Delivery.last_attempt_at,
            Delivery.finished_at,
            Delivery.attempts_in_schedule,
            Delivery.attempt_count,
            Delivery.last_outcome,
            Delivery.last_status,
            Delivery.last_duration_ms,
            PendingDelivery.is_being_sent(clock.now()),
            PendingDelivery.scheduled_at.is_not(None),
            Delivery.is_test,
            Endpoint.id,
            Endpoint.name,
            Endpoint.url,
            Endpoint.state,
            Endpoint.deleted_at,
            Endpoint.is_listener,
            Event.payload_erased_at,
            Event.indexed_values,
            *(getattr(Event, name) for name in VALUE_COLUMNS),
        )
        .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
        .join(Event, Event.id == Delivery.event_id)
        .outerjoin(PendingDelivery, PendingDelivery.delivery_id == Delivery.id)
    )
