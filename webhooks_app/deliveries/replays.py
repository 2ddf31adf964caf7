"""Replay: sending a delivery again, under the same id and with the same bytes."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, not_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from webhooks_app.accounts import audit
from webhooks_app.accounts.audit import Actor
from webhooks_app.core import clock
from webhooks_app.db import delivery_queue
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    FINAL_STATES,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    PendingDelivery,
)
from webhooks_app.jobs.wake_ups import WakeUps


class ReplayResult(StrEnum):
    STARTED = "Replay started."
    HASTENED = "The next attempt starts now; the retry schedule goes on behind it."
    IN_FLIGHT = "This delivery is being sent right now."
    ENDPOINT_DISABLED = "The endpoint is disabled. Enable it to replay."
    ENDPOINT_DELETED = "The endpoint was deleted, so there is nowhere to send this to."

    @property
    def is_sent(self) -> bool:
        return self in (ReplayResult.STARTED, ReplayResult.HASTENED)


def start(database: WriteDatabase, wake_ups: WakeUps, delivery_id: str, *, actor: Actor) -> ReplayResult:
    """Replays one delivery: a finished one begins a fresh schedule, a pending one is sent now."""
    [result] = start_several(database, wake_ups, [delivery_id], actor=actor)
    return result


def start_several(
    database: WriteDatabase, wake_ups: WakeUps, delivery_ids: Collection[str], *, actor: Actor
) -> Counter[ReplayResult]:
    """Replays a page's worth of deliveries, which must exist; how many came to which result."""
    now = clock.now()
    with database.begin() as connection:
        # Sorted, so that two people at once never wait for each other crosswise.
        results = Counter(_start(connection, each, actor, now) for each in sorted(set(delivery_ids)))
    if any(result.is_sent for result in results):
        wake_ups.now()
    return results


def _start(connection: Connection, delivery_id: str, actor: Actor, now: datetime) -> ReplayResult:
    delivery = connection.execute(
        select(Delivery.workspace_id, Endpoint.state, Endpoint.deleted_at)
        .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
        .where(Delivery.id == delivery_id)
    ).one()
    if delivery.deleted_at is not None:
        return ReplayResult.ENDPOINT_DELETED
    if delivery.state is EndpointState.DISABLED:
        return ReplayResult.ENDPOINT_DISABLED
    restarted = connection.scalars(
        _restarting(now).where(
            Delivery.id == delivery_id, Delivery.state.in_([*FINAL_STATES, DeliveryState.HELD])
        )
    ).all()
    if restarted:
        delivery_queue.add(connection, restarted, now=now)
    elif not _hasten(connection, delivery_id, now):
        return ReplayResult.IN_FLIGHT
    workspace_id = delivery.workspace_id
    audit.record(connection, actor, "delivery.replay", workspace_id=workspace_id, target=delivery_id, now=now)
    return ReplayResult.STARTED if restarted else ReplayResult.HASTENED


def restart(
    connection: Connection, delivery_ids: Sequence[str], *, state: DeliveryState, now: datetime
) -> dict[str, str]:
    """A fresh schedule for those of the deliveries that are in `state` and whose endpoint takes any.

    Those that were restarted, each with its endpoint; the caller queues them.
    """
    mine = Delivery.id.in_(delivery_ids), Delivery.state == state
    # Locked in one order, as `start_several` goes, so that neither waits for the other crosswise.
    connection.execute(select(Delivery.id).where(*mine).order_by(Delivery.id).with_for_update())
    enabled = select(Endpoint.id).where(
        Endpoint.id == Delivery.endpoint_id,
        Endpoint.state == EndpointState.ENABLED,
        Endpoint.deleted_at.is_(None),
    )
    restarted = connection.scalars(_restarting(now).where(*mine, enabled.correlate(Delivery).exists())).all()
    owners = select(Delivery.id, Delivery.endpoint_id).where(Delivery.id.in_(restarted))
    return {row.id: row.endpoint_id for row in connection.execute(owners)}


def _restarting(now: datetime) -> ReturningUpdate[str]:
    return (
        update(Delivery)
        .values(state=DeliveryState.PENDING, next_attempt_at=now, tries=0, finished_at=None)
        .returning(Delivery.id)
    )


def _hasten(connection: Connection, delivery_id: str, now: datetime) -> bool:
    """Makes a pending delivery due now; False when it is being sent already."""
    waiting = update(PendingDelivery).where(
        PendingDelivery.delivery_id == delivery_id, not_(PendingDelivery.is_being_sent(now))
    )
    if connection.execute(waiting.values(next_attempt_at=now)).rowcount == 0:
        return False
    connection.execute(update(Delivery).where(Delivery.id == delivery_id).values(next_attempt_at=now))
    return True
