"""Replay: sending a delivery again, under the same id and with the same bytes."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, not_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock, ids
from webhooks_app.db import delivery_queue, event_payloads
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    FINAL_STATES,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Event,
    PendingDelivery,
)
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.jobs.wake_ups import WakeUps

# A delivery in one of these is not in the queue, so a replay of it begins a fresh schedule.
RESTARTABLE_STATES = (*FINAL_STATES, DeliveryState.HELD)


class ReplayResult(StrEnum):
    """What a replay came to; the value is the sentence that the console shows."""

    STARTED = "Replay started."
    SENT_NOW = "An attempt starts now; the retry schedule stays as it is."
    IN_FLIGHT = "This delivery is being sent right now."
    ENDPOINT_DISABLED = "The endpoint is disabled. Enable it to replay."
    ENDPOINT_DELETED = "The endpoint was deleted, so there is nowhere to send this to."
    PAYLOAD_ERASED = "The payload was erased, so there is nothing left to send."

    @property
    def is_sent(self) -> bool:
        return self in (ReplayResult.STARTED, ReplayResult.SENT_NOW)


class UnknownDelivery(LookupError):
    """The workspace has no such delivery."""


def replay(
    database: WriteDatabase, wake_ups: WakeUps, workspace_id: str, delivery_id: str, *, actor: Actor
) -> ReplayResult:
    """Replay one delivery: a finished one begins a fresh schedule, a pending one is sent now.

    Raises UnknownDelivery. Takes four statements where it is finished, three otherwise.
    """
    [result] = replay_several(database, wake_ups, workspace_id, [delivery_id], actor=actor)
    return result


def replay_several(
    database: WriteDatabase,
    wake_ups: WakeUps,
    workspace_id: str,
    delivery_ids: Collection[str],
    *,
    actor: Actor,
) -> Counter[ReplayResult]:
    """Replay a page's worth of deliveries; return how many came to which result.

    Raises UnknownDelivery, and then replays none, unless all of them are the workspace's.
    """
    named = set(delivery_ids)
    if not all(ids.is_id("dlv", each) for each in named):
        raise UnknownDelivery
    now = clock.now()
    with database.begin() as connection:
        restarted = restart_schedules(connection, workspace_id, named, states=RESTARTABLE_STATES, now=now)
        sent_now = send_now(connection, workspace_id, named - restarted.keys(), now=now)
        sent = [*restarted, *sent_now]
        results = _refusals(connection, workspace_id, named.difference(sent))
        audit.record_each(
            connection, actor, "delivery.replay", workspace_id=workspace_id, targets=sorted(sent), now=now
        )
    if sent:
        wake_ups.wake_worker(listener_ids={*restarted.values(), *sent_now.values()})
    results[ReplayResult.STARTED] += len(restarted)
    results[ReplayResult.SENT_NOW] += len(sent_now)
    return +results  # without those that none came to


def restart_schedules(
    connection: WriteConnection,
    workspace_id: str,
    delivery_ids: Collection[str],
    *,
    states: Iterable[DeliveryState],
    now: datetime,
) -> dict[str, str]:
    """Begin a fresh schedule for those of the deliveries that are in one of `states`, and queue them.

    Passes over those whose payload was erased, or whose endpoint is disabled or deleted. Return the ids of
    the deliveries that were restarted, each with its endpoint's.
    """
    named = (
        Delivery.id.in_(delivery_ids),
        Delivery.workspace_id == workspace_id,
        Delivery.state.in_(states),
    )
    present = event_payloads.lock_unerased(connection, select(Delivery.event_id).where(*named))
    if not present:
        return {}
    # Locked in the order of their ids, so that two who restart the same ones never wait for each other.
    restartable = (*named, Delivery.event_id.in_(present), _is_accepting(Delivery.endpoint_id))
    locked = select(Delivery.id).where(*restartable).order_by(Delivery.id).with_for_update(of=Delivery)
    restarted = connection.execute(
        update(Delivery)
        .where(Delivery.id.in_(locked))
        .values(state=DeliveryState.PENDING, next_attempt_at=now, attempts_in_schedule=0, finished_at=None)
        .returning(Delivery.id, Delivery.endpoint_id)
    )
    endpoints = {row.id: row.endpoint_id for row in restarted}
    if endpoints:
        delivery_queue.add(connection, endpoints, now=now)
    return endpoints


def send_now(
    connection: WriteConnection, workspace_id: str, delivery_ids: Collection[str], *, now: datetime
) -> dict[str, str]:
    """Have those of the deliveries attempted now that wait in the queue and are not being sent.

    The attempt is a manual one, beside the schedule: that goes on when it would have, unless the delivery
    succeeds. One that is due already, or has spent nothing of its schedule, goes as scheduled. Return the
    ids, each with its endpoint's.
    """
    if not delivery_ids:
        return {}
    locked = (
        select(PendingDelivery.delivery_id)
        .where(
            PendingDelivery.delivery_id.in_(delivery_ids),
            not_(PendingDelivery.is_being_sent(now)),
            _is_accepting(PendingDelivery.endpoint_id, workspace_id),
        )
        .order_by(PendingDelivery.delivery_id)
        .with_for_update(of=PendingDelivery)
    )
    due_at, scheduled_at = PendingDelivery.next_attempt_at, PendingDelivery.scheduled_at
    is_beside = and_(due_at > now, PendingDelivery.attempts_in_schedule > 0)
    due = connection.execute(
        update(PendingDelivery)
        .where(PendingDelivery.delivery_id.in_(locked))
        .values(
            scheduled_at=case((is_beside, func.coalesce(scheduled_at, due_at)), else_=scheduled_at),
            next_attempt_at=case((due_at > now, literal(now, UtcDateTime)), else_=due_at),
        )
        .returning(PendingDelivery.delivery_id, PendingDelivery.endpoint_id)
    )
    return {row.delivery_id: row.endpoint_id for row in due}


def _refusals(
    connection: Connection, workspace_id: str, delivery_ids: Collection[str]
) -> Counter[ReplayResult]:
    """Return why the deliveries are not replayed. Raises UnknownDelivery."""
    if not delivery_ids:
        return Counter()
    rows = connection.execute(
        select(Endpoint.state, Endpoint.deleted_at, Event.payload_erased_at)
        .join(Delivery, Delivery.endpoint_id == Endpoint.id)
        .join(Event, Event.id == Delivery.event_id)
        .where(Delivery.id.in_(delivery_ids), Delivery.workspace_id == workspace_id)
    ).all()
    if len(rows) != len(delivery_ids):
        raise UnknownDelivery
    return Counter(_refusal(*row) for row in rows)


def _refusal(
    state: EndpointState, deleted_at: datetime | None, payload_erased_at: datetime | None
) -> ReplayResult:
    if payload_erased_at is not None:
        return ReplayResult.PAYLOAD_ERASED
    if deleted_at is not None:
        return ReplayResult.ENDPOINT_DELETED
    return ReplayResult.ENDPOINT_DISABLED if state is EndpointState.DISABLED else ReplayResult.IN_FLIGHT


def _is_accepting(
    endpoint_id: InstrumentedAttribute[str], workspace_id: str | None = None
) -> ColumnElement[bool]:
    """Whether the endpoint is enabled, not deleted and, where that is asked for, the workspace's."""
    accepting = select(Endpoint.id).where(
        Endpoint.id == endpoint_id, Endpoint.state == EndpointState.ENABLED, Endpoint.deleted_at.is_(None)
    )
    if workspace_id is not None:
        accepting = accepting.where(Endpoint.workspace_id == workspace_id)
    return accepting.correlate_except(Endpoint).exists()
