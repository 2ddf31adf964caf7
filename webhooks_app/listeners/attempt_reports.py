"""What a program says of a request that it handed on: recorded as an attempt, as a worker's would be."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from webhooks_app.core import clock
from webhooks_app.core.encryption import Cipher
from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings, classify_status
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Delivery, PendingDelivery
from webhooks_app.endpoints import destinations
from webhooks_app.listeners import due_requests
from webhooks_app.worker import recording, signed_requests
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.retry_decision import RetryDecision, decide

# What a program may say of a server that did not answer.
FAILURES = frozenset(
    {
        OutcomeClass.DNS,
        OutcomeClass.CONNECT,
        OutcomeClass.TLS,
        OutcomeClass.TIMEOUT,
        OutcomeClass.CONNECTION_LOST,
        OutcomeClass.INVALID_RESPONSE,
    }
)
RECORDED_BYTES = 16 * 1024  # of an answer's headers and of its body, as of any other endpoint's
# A report that comes later than this says nothing that anybody waits for.
OLDEST_CLAIM = timedelta(hours=1)
# Between the host that took it and the one that is told.
CLOCK_DIFFERENCE = timedelta(minutes=1)


@dataclass(slots=True, frozen=True)
class AttemptReport:
    """The result of a request: an answer with its status, or a `failure`.

    `generation` and `claimed_at` are those of the claim, `target` the URL that it was sent to.
    """

    delivery_id: str
    generation: int
    claimed_at: datetime
    target: str
    status: int
    failure: OutcomeClass | None
    detail: str
    response_headers: bytes
    response_body: bytes
    is_truncated: bool
    first_byte_us: int
    total_us: int
    retry_after: str = ""


@dataclass(slots=True, frozen=True)
class Recorded:
    """What follows for the delivery. `is_current`: the claim held; what a stale one says counts if it is a
    success."""

    decision: RetryDecision
    outcome: Outcome
    is_current: bool


class NotOfThisListener(Exception):
    """There is no such delivery, or it goes to another endpoint."""


def record(
    databases: Databases,
    cipher: Cipher,
    endpoint_id: str,
    report: AttemptReport,
    *,
    delays: tuple[float, ...],
) -> Recorded:
    """Record the attempt, unless it is recorded already. Raises NotOfThisListener.

    It counts neither towards the endpoint's health nor in any figure: a program that is being written fails.
    """
    now = clock.now()
    with databases.read.connect_autocommit() as connection:
        row = connection.execute(_delivery(report.delivery_id, endpoint_id)).first()
        if row is None:
            raise NotOfThisListener
        delivery = _claimed(connection, cipher, endpoint_id, row, report)
    delivery.started_at = _started_at(report, now)
    delivery.outcome = _outcome(report)
    delivery.decision = decide(
        delivery.outcome,
        attempts_in_schedule=delivery.attempts_in_schedule + 1,
        delays=delays,
        chance=random.random(),
        now=now,
        scheduled_at=delivery.scheduled_at,
        is_test=delivery.is_test,
    )
    recording.record(databases.write, [delivery], now=now, is_retry=True, is_counted=False)
    return Recorded(delivery.decision, delivery.outcome, row.queued_generation == report.generation)


def _delivery(delivery_id: str, endpoint_id: str) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Delivery.event_id,
            Delivery.attempts_in_schedule.label("attempts_in_schedule"),
            Delivery.is_test,
            PendingDelivery.scheduled_at,
            PendingDelivery.generation.label("queued_generation"),
        )
        .outerjoin(PendingDelivery, PendingDelivery.delivery_id == Delivery.id)
        .where(Delivery.id == delivery_id, Delivery.endpoint_id == endpoint_id)
    )


def _claimed(
    connection: Connection,
    cipher: Cipher,
    endpoint_id: str,
    row: Row[*tuple[Any, ...]],
    report: AttemptReport,
) -> ClaimedDelivery:
    delivery = ClaimedDelivery(
        report.delivery_id,
        endpoint_id,
        row.event_id,
        report.generation,
        row.attempts_in_schedule,
        0,
        row.scheduled_at,
        row.is_test,
    )
    _, destination = destinations.read(connection, [endpoint_id], cipher)[endpoint_id]
    body = signed_requests.bodies(connection, [row.event_id])[row.event_id]
    headers = due_requests.sign(report.delivery_id, destination, body, report.claimed_at)
    delivery.request_headers = destinations.as_json([*destinations.logged_target(report.target), *headers])
    return delivery


def _started_at(report: AttemptReport, now: datetime) -> datetime:
    """Return when the request began; what is claimed together is handed on one after the other. Pure.

    A program reports on a request as soon as that is over, and its own clock may be anywhere.
    """
    return max(report.claimed_at, now - timedelta(microseconds=report.total_us))


def _outcome(report: AttemptReport) -> Outcome:
    kind = report.failure or classify_status(report.status)
    if kind is OutcomeClass.HTTP_410:  # which disables an endpoint; here the path is wrong
        kind = OutcomeClass.HTTP_4XX
    return Outcome(
        kind=kind,
        detail=report.detail,
        status=report.status,
        timings=Timings(first_byte_us=report.first_byte_us, total_us=report.total_us),
        response_headers=report.response_headers[:RECORDED_BYTES],
        response_body=report.response_body[:RECORDED_BYTES],
        truncated=report.is_truncated or len(report.response_body) > RECORDED_BYTES,
        retry_after=report.retry_after,
    )
