"""What the tests of the worker read back, and attempts that never went over a wire."""

from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, select, type_coerce, update

from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import event_bodies
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Attempt, Delivery, Event, PendingDelivery
from webhooks_app.extensions import db
from webhooks_app.worker import claims, endpoint_scan
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.recording import record
from webhooks_app.worker.retry_decision import decide

LEASE = timedelta(seconds=60)
URL = "http://127.0.0.1:9/hooks"
DELAYS = (5.0,) * 9
TIMED_OUT, DELIVERED = Outcome(OutcomeClass.TIMEOUT), Outcome(OutcomeClass.SUCCESS, status=200)


def deliveries() -> list[Delivery]:
    db.session.expire_all()
    db.session.rollback()
    return list(db.session.scalars(select(Delivery).order_by(Delivery.id)))


def attempts() -> list[Attempt]:
    db.session.rollback()
    return list(db.session.scalars(select(Attempt).order_by(Attempt.delivery_id, Attempt.generation)))


def queued() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(select(PendingDelivery.delivery_id)))


def make_due(database: WriteDatabase) -> None:
    """Lets the retry's time come."""
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now()))


def damage(database: WriteDatabase, event_id: str) -> None:
    """Overwrites the last byte of the event's packed body."""
    _store(database, event_id, event_bodies.pack(_body(database, event_id))[:-1] + b"\xff")


def damage_text(database: WriteDatabase, event_id: str) -> None:
    """Stores the event's body as it is, but for a byte that is no UTF-8."""
    _store(database, event_id, _body(database, event_id)[:-2] + b"\xff}")


def exchange(database: WriteDatabase, first: str, second: str) -> None:
    """Gives each of two events the other's body."""
    bodies = _body(database, first), _body(database, second)
    for event_id, body in zip((second, first), bodies, strict=True):
        _store(database, event_id, event_bodies.pack(body))


def _body(database: WriteDatabase, event_id: str) -> bytes:
    with database.begin() as connection:
        return connection.scalars(select(Event.body).where(Event.id == event_id)).one()


def _store(database: WriteDatabase, event_id: str, stored: bytes) -> None:
    """Has these bytes in the column, whatever they are."""
    body = type_coerce(stored, LargeBinary)
    with database.begin() as connection:
        connection.execute(update(Event).where(Event.id == event_id).values(body=body))


def attempted(
    claim: ClaimedDelivery,
    outcome: Outcome,
    *,
    at: datetime | None = None,
    delays: tuple[float, ...] = (60.0,) * 100,
    headers: str = "[]",
) -> ClaimedDelivery:
    """Fill in the attempt that a worker would have made of the claim, sent and answered at one moment."""
    moment = at or clock.now()
    claim.started_at, claim.request_headers, claim.outcome = moment, headers, outcome
    attempts_in_schedule = claim.attempts_in_schedule + 1
    claim.decision = decide(
        outcome,
        attempts_in_schedule=attempts_in_schedule,
        delays=delays,
        chance=0.5,
        now=moment,
        scheduled_at=claim.scheduled_at,
        is_test=claim.is_test,
    )
    return claim


def claim(database: WriteDatabase, count: int = 1) -> list[ClaimedDelivery]:
    with database.begin() as connection:
        endpoints = endpoint_scan.scan(connection, after="", count=10)
        quotas = {endpoint.endpoint_id: count for endpoint in endpoints}
        return claims.claim_due(connection, quotas, now=clock.now(), lease=LEASE)


def claim_twice(database: WriteDatabase) -> tuple[ClaimedDelivery, ClaimedDelivery]:
    """One delivery, whose first claim outlived its lease."""
    [first] = claim(database)
    make_due(database)
    [second] = claim(database)
    return first, second


def finished(claimed: ClaimedDelivery, outcome: Outcome, headers: str = "[]") -> ClaimedDelivery:
    return attempted(claimed, outcome, delays=DELAYS, headers=headers)


def write(database: WriteDatabase, *some: ClaimedDelivery, is_retry: bool = False) -> list[datetime]:
    return record(database, list(some), now=clock.now(), is_retry=is_retry)


def attempt_all(database: WriteDatabase, endpoint_id: str, outcome: Outcome, at: datetime) -> None:
    """Claim everything that is due there, and record one attempt of each with that outcome."""
    with database.begin() as connection:
        taken = claims.claim_due(connection, {endpoint_id: 2000}, now=at, lease=timedelta(minutes=2))
    record(database, [attempted(claim, outcome, at=at) for claim in taken], now=at)
