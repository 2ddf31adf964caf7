"""What attempts add to their endpoints' health and rollups."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import DELIVERED, TIMED_OUT, URL, attempted, attempts, deliveries
from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    AttemptRollup,
    EndpointHealth,
)
from webhooks_app.deliveries import replays
from webhooks_app.extensions import db, services
from webhooks_app.worker import endpoint_counters
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")

HOUR = datetime(2026, 1, 1, 10, tzinfo=UTC)
FAILED, UNREADABLE = Outcome(OutcomeClass.HTTP_5XX, status=500), Outcome(OutcomeClass.SECRET)


def test_outcomes_add_up_in_health_and_rollups(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(30)
    receiver.answer = lambda request: Answer(random.choice([200, 500]))

    engine.run(seconds=60)

    counted: dict[str, int] = {}
    for row in db.session.scalars(select(AttemptRollup)):
        assert row.endpoint_id == endpoint_id
        counted[row.outcome] = counted.get(row.outcome, 0) + row.count
    outcomes = [attempt.outcome for attempt in attempts()]
    assert counted == {name: outcomes.count(name) for name in set(outcomes)}
    health = db.session.get_one(EndpointHealth, endpoint_id)
    assert (health.last_success_at is not None) == ("success" in outcomes)
    assert (health.last_failure_at is not None) == ("http_5xx" in outcomes)


def test_the_newest_delivery_that_was_attempted_is_noted(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(3)
    engine.run(seconds=60)
    ids = [delivery.id for delivery in deliveries()]
    replays.replay(services().write, services().wake_ups, workspace.id, ids[0], actor=TESTER)
    engine.run(seconds=60)

    assert db.session.get_one(EndpointHealth, endpoint_id).newest_attempted_id == ids[-1]

    workspace.send()
    engine.run(seconds=60)
    db.session.rollback()
    newest = max(delivery.id for delivery in deliveries())
    assert newest > ids[-1]
    assert db.session.get_one(EndpointHealth, endpoint_id).newest_attempted_id == newest


def test_a_streak_of_failures_is_dated_from_its_first(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    receiver.answer = Answer(500)
    workspace.send()
    engine.run(seconds=60)
    first = db.session.get_one(EndpointHealth, endpoint_id).failing_since
    assert first is not None
    workspace.send()
    engine.run(seconds=60)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.get_one(EndpointHealth, endpoint_id).failing_since == first

    receiver.answer = Answer(200)
    workspace.send()
    engine.run(seconds=60)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.get_one(EndpointHealth, endpoint_id).failing_since is None


def at(second: int) -> datetime:
    return HOUR + timedelta(seconds=second)


def attempt(
    endpoint_id: str, outcome: Outcome, moment: datetime, *, delivery_id: str = "dlv_1"
) -> ClaimedDelivery:
    return attempted(ClaimedDelivery(delivery_id, endpoint_id, "evt_1", 1, 0, 0), outcome, at=moment)


def add_health(database: WriteDatabase, endpoint_id: str, *some: tuple[Outcome, int]) -> None:
    """One batch of attempts, each with the second of its start."""
    with database.begin() as connection:
        endpoint_counters.add_health(
            connection, [attempt(endpoint_id, outcome, at(second)) for outcome, second in some]
        )


def health_of(endpoint_id: str) -> tuple[object, ...]:
    """Its last success and last failure, what that was, the streak's start, and the failures in it."""
    db.session.rollback()
    health = db.session.get_one(EndpointHealth, endpoint_id)
    return (
        health.last_success_at,
        health.last_failure_at,
        health.last_failure_outcome,
        health.failing_since,
        health.failure_count,
    )


def test_of_a_batch_the_newest_delivery_is_noted_whichever_began_last(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(URL)
    began_last = attempt(endpoint_id, FAILED, at(2))
    newest = attempt(endpoint_id, FAILED, at(1), delivery_id="dlv_2")
    with database.begin() as connection:
        endpoint_counters.add_health(connection, [began_last, newest])
    assert db.session.get_one(EndpointHealth, endpoint_id).newest_attempted_id == "dlv_2"


def test_of_a_batch_what_came_after_its_last_success_is_the_streak(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint, other = workspace.endpoint(URL), workspace.endpoint(URL)
    before = health_of(other)
    # Not in the order in which they began, as answers come in any.
    add_health(database, endpoint, (FAILED, 4), (TIMED_OUT, 1), (TIMED_OUT, 3), (DELIVERED, 2))

    assert health_of(endpoint) == (at(2), at(4), "http_5xx", at(3), 2)
    assert health_of(other) == before == (None, None, None, None, 0)


def test_a_streak_goes_on_from_batch_to_batch_until_a_success(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(URL)
    add_health(database, endpoint, (DELIVERED, 0), (FAILED, 1))
    add_health(database, endpoint, (FAILED, 2), (TIMED_OUT, 3))
    assert health_of(endpoint) == (at(0), at(3), "timeout", at(1), 3)

    add_health(database, endpoint, (DELIVERED, 4))
    assert health_of(endpoint) == (at(4), at(3), "timeout", None, 0)
    add_health(database, endpoint, (DELIVERED, 5))
    add_health(database, endpoint, (FAILED, 6))
    assert health_of(endpoint) == (at(5), at(6), "http_5xx", at(6), 1)


def test_of_the_last_failure_its_status_is_kept_if_it_had_one(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(URL)
    for outcome, status in ((FAILED, 500), (DELIVERED, 500), (TIMED_OUT, None)):
        add_health(database, endpoint, (outcome, 1))
        db.session.rollback()
        assert db.session.get_one(EndpointHealth, endpoint).last_failure_status == status


def test_a_success_between_two_failures_of_a_batch_starts_the_streak_anew(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(URL)
    add_health(database, endpoint, (FAILED, 1))
    add_health(database, endpoint, (FAILED, 2), (DELIVERED, 3), (TIMED_OUT, 4))

    assert health_of(endpoint) == (at(3), at(4), "timeout", at(4), 1)


def test_a_failure_of_our_own_is_shown_and_starts_no_streak(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(URL)
    add_health(database, endpoint, (UNREADABLE, 1))
    assert health_of(endpoint) == (None, at(1), "secret", None, 0)

    add_health(database, endpoint, (FAILED, 2), (UNREADABLE, 3))
    assert health_of(endpoint) == (None, at(3), "secret", at(2), 1)


def test_attempts_are_counted_by_endpoint_hour_outcome_and_latency(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint, other = workspace.endpoint(URL), workspace.endpoint(URL)
    slow = Outcome(OutcomeClass.SUCCESS, status=200, timings=Timings(total_us=5_000))
    last_of_hour = HOUR + timedelta(minutes=59, seconds=59, microseconds=999_999)
    batch = [
        attempt(endpoint, DELIVERED, HOUR),
        attempt(endpoint, DELIVERED, last_of_hour),
        attempt(endpoint, DELIVERED, last_of_hour + timedelta(microseconds=1)),
        attempt(endpoint, slow, HOUR),
        attempt(endpoint, TIMED_OUT, HOUR),
        attempt(other, DELIVERED, HOUR),
    ]
    for some in (batch, batch[:2]):
        with database.begin() as connection:
            endpoint_counters.add_rollups(connection, some)

    db.session.rollback()
    counted = {
        (row.endpoint_id, row.hour_at, row.outcome, row.latency_bucket): row.count
        for row in db.session.scalars(select(AttemptRollup))
    }
    assert counted == {
        (endpoint, HOUR, "success", 0): 4,
        (endpoint, HOUR + timedelta(hours=1), "success", 0): 1,
        (endpoint, HOUR, "success", 3): 1,
        (endpoint, HOUR, "timeout", 0): 1,
        (other, HOUR, "success", 0): 1,
    }
