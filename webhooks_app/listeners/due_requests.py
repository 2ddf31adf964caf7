"""The requests that are due at a listener: claimed and signed as a worker does it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, exists, or_, select

from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher
from webhooks_app.db import event_bodies
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import DeliveryState, Endpoint, Listener, PendingDelivery
from webhooks_app.db.models.base import UtcDateTime
from webhooks_app.endpoints import destinations
from webhooks_app.endpoints.destinations import Destination
from webhooks_app.monitoring.stored_formats import StoredFormats
from webhooks_app.worker import claims, damaged_payloads, recording, signed_requests
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.retry_decision import RetryDecision

# For the way to the program and back, beyond the time-outs of what it handles one after the other.
LEASE_MARGIN = timedelta(seconds=30)
# A program that is killed in the middle says nothing against the delivery.
_NEVER_ISOLATED = 2**15


_IS_DUE = exists().where(
    PendingDelivery.endpoint_id == Listener.endpoint_id,
    PendingDelivery.next_attempt_at <= bindparam("now", type_=UtcDateTime),
)
# Put together once: that takes longer than running it.
_AMONG = (
    select(Listener.endpoint_id)
    .join(Endpoint, Endpoint.id == Listener.endpoint_id)
    .where(Listener.endpoint_id.in_(bindparam("ids")))
)
_IS_OVER = Endpoint.deleted_at.is_not(None)
_FIND_DUE = _AMONG.where(or_(_IS_DUE, _IS_OVER))
_IS_TAKEN_OVER = Listener.session_id.not_in(bindparam("sessions"))
_FIND_READY = _AMONG.where(or_(_IS_DUE, _IS_OVER, _IS_TAKEN_OVER))


@dataclass(slots=True, frozen=True)
class DueRequest:
    """A request to hand on: the headers and the bytes that a worker would send now.

    `generation` and `claimed_at` name the claim, for the report on it. `number` is the attempt's within its
    schedule.
    """

    delivery_id: str
    event_id: str
    generation: int
    claimed_at: datetime
    number: int
    is_test: bool
    headers: list[tuple[str, str]]
    body: bytes


def find_due(connection: Connection, endpoint_ids: Collection[str], *, now: datetime) -> set[str]:
    """Return those of the listeners that have something due, or have ended."""
    values = {"ids": list(endpoint_ids), "now": now}
    return set(connection.scalars(_FIND_DUE, values))


def find_ready(connection: Connection, sessions: Mapping[str, str], *, now: datetime) -> set[str]:
    """Return the listeners whose wait is over: those that have something due, ended or were taken over.

    `sessions` holds the session that waits for each listener, by the listener's id.
    """
    values = {"ids": list(sessions), "sessions": list(sessions.values()), "now": now}
    return set(connection.scalars(_FIND_READY, values))


def claim(
    databases: Databases, cipher: Cipher, endpoint_id: str, *, limit: int, timeout: timedelta
) -> list[DueRequest]:
    """Claim up to `limit` of what is due at the listener, and return it signed, in the events' order.

    `timeout` is what the program's server has for each. What has a damaged body fails here, as at a worker.
    """
    with databases.read.connect_autocommit() as connection:
        if not find_due(connection, [endpoint_id], now=clock.now()):  # a write would hold SQLite's lock
            return []
    with databases.write.begin() as connection:
        now = clock.now()
        claimed = claims.claim_due(
            connection,
            {endpoint_id: limit},
            now=now,
            lease=LEASE_MARGIN + limit * timeout,
            leases_to_isolate=_NEVER_ISOLATED,
        )
    if not claimed:
        return []
    with databases.read.connect_autocommit() as connection:
        _, destination = destinations.read(connection, [endpoint_id], cipher)[endpoint_id]
        bodies = signed_requests.bodies(connection, [each.event_id for each in claimed])
    claimed.sort(key=lambda each: each.delivery_id)
    if damaged := [each for each in claimed if isinstance(bodies[each.event_id], event_bodies.Unreadable)]:
        _fail(databases, damaged, now)
    readable = [each for each in claimed if each not in damaged]
    return [_signed(each, destination, bodies[each.event_id], now) for each in readable]


def _fail(databases: Databases, damaged: list[ClaimedDelivery], now: datetime) -> None:
    outcome = damaged_payloads.outcome(StoredFormats(databases.read.connect))
    for each in damaged:
        each.started_at, each.request_headers, each.outcome = now, "[]", outcome
        each.decision = RetryDecision(DeliveryState.FAILED, None)
    recording.record(databases.write, damaged, now=now, is_counted=False)


def sign(delivery_id: str, destination: Destination, body: bytes, now: datetime) -> list[tuple[str, str]]:
    """Return the headers of a request that is made at this moment."""
    keys = destination.keys_at(now)
    _, logged = signed_requests.sign(delivery_id, destination, keys, body, now=now)
    return [(name, value) for name, value in json.loads(logged) if not name.startswith(":")]


def _signed(each: ClaimedDelivery, destination: Destination, body: bytes, now: datetime) -> DueRequest:
    return DueRequest(
        delivery_id=each.delivery_id,
        event_id=each.event_id,
        generation=each.generation,
        claimed_at=now,
        number=each.attempts_in_schedule + 1,
        is_test=bool(each.is_test),
        headers=sign(each.delivery_id, destination, body, now),
        body=body,
    )
