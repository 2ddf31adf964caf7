"""Recorded attempts: retries, the end of the schedule, stale claims."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.jobs.scheduled import scheduled_jobs
from tests.receivers import Answer, Received, Receiver
from tests.statements import noted_statements
from tests.worker.attempted import (
    DELAYS,
    DELIVERED,
    LEASE,
    TIMED_OUT,
    URL,
    attempted,
    attempts,
    claim,
    claim_twice,
    deliveries,
    finished,
    make_due,
    queued,
    write,
)
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    AttemptRollup,
    AuditEntry,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    EndpointState,
    Event,
    Notice,
    NoticeKind,
    PendingDelivery,
)
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.recording import record

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_a_failure_is_retried_with_the_same_id_and_bytes(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    redis_url: str,
    settings: Settings,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    engine.run(seconds=60)

    [delivery] = deliveries()
    first_delay = timedelta(seconds=settings.retry_delays[0])
    assert (delivery.state, delivery.last_outcome, delivery.attempts_in_schedule) == (
        DeliveryState.PENDING,
        "http_5xx",
        1,
    )
    assert delivery.next_attempt_at is not None and delivery.last_attempt_at is not None
    assert delivery.next_attempt_at > delivery.last_attempt_at + 0.9 * first_delay
    assert delivery.next_attempt_at <= clock.now() + 1.1 * first_delay
    [(name, moment)] = scheduled_jobs(redis_url)
    assert name == f"due-{int(moment.timestamp())}"
    assert timedelta(0) <= moment - delivery.next_attempt_at < timedelta(seconds=1)

    receiver.answer = Answer(200)
    make_due(database)
    engine.run(seconds=60)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 2)
    first, second = receiver.received
    assert first.delivery_id == second.delivery_id
    assert first.body == second.body
    assert [attempt.outcome for attempt in attempts()] == ["http_5xx", "success"]


def test_the_schedule_ends_in_failed(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    settings: Settings,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503)

    for _ in range(len(settings.retry_delays) + 3):
        engine.run(seconds=60)
        make_due(database)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 10)
    assert delivery.next_attempt_at is None
    assert len(receiver.received) == 10


def test_retry_after_postpones_the_retry(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(429, headers={"Retry-After": "7200"})

    engine.run(seconds=60)

    [delivery] = deliveries()
    assert delivery.next_attempt_at is not None and delivery.last_attempt_at is not None
    assert delivery.next_attempt_at >= delivery.last_attempt_at + timedelta(seconds=7200)
    assert delivery.next_attempt_at <= clock.now() + timedelta(seconds=7200)


def test_a_detail_that_quotes_what_is_no_text_is_kept(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503, headers={"transfer-encoding": "ch\xffnked"})

    engine.run(seconds=60)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.status) == ("invalid_response", 503)
    assert r"(ch\xffnked)" in str(attempt.detail)


def test_a_stale_claims_failure_is_dropped_and_its_late_success_counts(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)

    def overtake(request: Received) -> Answer:
        with database.begin() as connection:
            connection.execute(
                update(PendingDelivery)
                .where(PendingDelivery.delivery_id == request.delivery_id)
                .values(generation=PendingDelivery.generation + 1)
            )
        return Answer(200 if request is receiver.received[0] else 500)

    receiver.answer = overtake
    engine.run(seconds=60)

    states = {delivery.id: delivery.state for delivery in deliveries()}
    first, second = (request.delivery_id for request in receiver.received)
    assert states == {first: DeliveryState.DELIVERED, second: DeliveryState.PENDING}
    assert [attempt.delivery_id for attempt in attempts()] == [first]


def test_the_newer_claim_of_what_a_late_success_delivered_stays_stale(
    workspace: Workspace, database: WriteDatabase
) -> None:
    """Also once the delivery is replayed, which claims it under the generation that follows."""
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)
    write(database, finished(stale, DELIVERED))
    [delivery] = deliveries()
    assert delivery.generation == current.generation == 2


def test_what_ends_its_schedule_is_recorded_beside_what_is_retried(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    last, retried = claim(database, 2)
    write(database, attempted(last, TIMED_OUT, delays=()), finished(retried, TIMED_OUT))
    assert {each.id: each.state for each in deliveries()} == {
        last.delivery_id: DeliveryState.FAILED,
        retried.delivery_id: DeliveryState.PENDING,
    }
    assert len(attempts()) == 2


@pytest.mark.parametrize("is_stale_first", [True, False])
def test_a_stale_failure_in_one_batch_with_the_success_changes_nothing(
    workspace: Workspace, database: WriteDatabase, is_stale_first: bool
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)
    some = [finished(stale, TIMED_OUT), finished(current, DELIVERED)]

    assert write(database, *(some if is_stale_first else reversed(some))) == []

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert [(attempt.generation, attempt.outcome) for attempt in attempts()] == [(2, "success")]
    assert not queued()
    assert db.session.scalar(select(EndpointHealth.failure_count)) == 0


def test_a_stale_success_in_one_batch_with_the_failure_counts(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)

    write(database, finished(current, TIMED_OUT), finished(stale, DELIVERED))

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 2)
    assert not queued()


def test_two_stale_successes_in_one_batch_count_once(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    first, second = claim_twice(database)
    make_due(database)
    claim(database)

    write(database, finished(first, DELIVERED), finished(second, DELIVERED))

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert len(attempts()) == 1
    assert not queued()


def test_a_late_success_of_a_delivered_delivery_changes_nothing(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    stale, current = claim_twice(database)
    write(database, finished(current, DELIVERED))
    [before] = [(each.attempt_count, each.last_attempt_at, each.finished_at) for each in deliveries()]

    write(database, finished(stale, DELIVERED))

    [after] = [(each.attempt_count, each.last_attempt_at, each.finished_at) for each in deliveries()]
    assert after == before
    assert [attempt.generation for attempt in attempts()] == [2]


def test_an_attempt_ends_the_count_of_expired_leases(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    _, second = claim_twice(database)
    assert second.expired_leases == 1

    write(database, finished(second, TIMED_OUT))

    make_due(database)
    [third] = claim(database)
    assert (third.expired_leases, third.is_suspect) == (0, False)


def test_after_a_manual_attempt_the_schedule_goes_on(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    resumes_at = clock.now() + timedelta(hours=1)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(scheduled_at=resumes_at))
    [manual] = claim(database)
    write(database, finished(manual, TIMED_OUT))
    assert due_times() == [resumes_at]

    make_due(database)
    [following] = claim(database)
    assert (manual.is_manual, following.is_manual) == (True, False)
    write(database, finished(following, TIMED_OUT))
    [delivery] = deliveries()
    assert (delivery.attempts_in_schedule, delivery.attempt_count) == (1, 2)


def test_what_was_written_although_an_error_came_is_not_written_again(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    failed, succeeded = claim(database, 2)
    assert len(write(database, finished(failed, TIMED_OUT))) == 1

    write(database, finished(failed, TIMED_OUT), finished(succeeded, DELIVERED), is_retry=True)

    by_id = {delivery.id: delivery for delivery in deliveries()}
    assert (by_id[failed.delivery_id].attempts_in_schedule, by_id[failed.delivery_id].attempt_count) == (1, 1)
    assert by_id[succeeded.delivery_id].state is DeliveryState.DELIVERED
    assert len(attempts()) == 2


def test_a_retry_that_is_recorded_late_is_due_then_and_not_before(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    workspace.send(2)
    now = clock.now()
    late, timely = (attempted(each, TIMED_OUT, at=now, delays=DELAYS) for each in claim(database, 2))

    assert record(database, [timely], now=now + timedelta(seconds=1)) == [timely.decision.next_attempt_at]
    recorded_at = now + timedelta(minutes=1)  # as after an outage of the database
    assert record(database, [late], now=recorded_at) == [recorded_at]

    by_id = {delivery.id: delivery.next_attempt_at for delivery in deliveries()}
    assert by_id == {timely.delivery_id: timely.decision.next_attempt_at, late.delivery_id: recorded_at}


@pytest.mark.parametrize("delays", [DELAYS, ()])
def test_a_stale_failure_leaves_the_newer_claim_its_lease(
    workspace: Workspace, database: WriteDatabase, delays: tuple[float, ...]
) -> None:
    """Whether it is the last of its schedule or not."""
    workspace.endpoint(URL)
    workspace.send()
    stale, _ = claim_twice(database)
    [before] = due_times()

    assert write(database, attempted(stale, TIMED_OUT, delays=delays)) == []

    assert due_times() == [before]
    assert before > clock.now() + LEASE / 2
    assert attempts() == []
    assert [delivery.state for delivery in deliveries()] == [DeliveryState.PENDING]


def test_a_success_of_the_newest_claim_is_written_once(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    [claimed] = claim(database)
    with noted_statements() as statements:
        write(database, finished(claimed, DELIVERED))
    assert len([each for each in statements if "UPDATE deliveries" in each]) == 1


def due_times() -> list[datetime]:
    db.session.rollback()
    return list(db.session.scalars(select(PendingDelivery.next_attempt_at)))


@pytest.mark.parametrize(
    ("outcome", "is_finished"), [(OutcomeClass.TIMEOUT, False), (OutcomeClass.SUCCESS, True)]
)
def test_a_delivery_shows_its_last_attempt(
    workspace: Workspace, database: WriteDatabase, outcome: OutcomeClass, is_finished: bool
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    [claimed] = claim(database)
    answered = Outcome(outcome, status=204 if is_finished else 0, timings=Timings(total_us=1_000_999))

    write(database, finished(claimed, answered))

    [delivery] = deliveries()
    assert (delivery.last_outcome, delivery.last_duration_ms) == (outcome.value, 1000)
    assert delivery.generation == claimed.generation == 1
    assert delivery.last_status == (204 if is_finished else None)
    assert delivery.last_attempt_at == claimed.started_at
    assert (delivery.finished_at is not None) is is_finished
    assert (delivery.next_attempt_at is None) is is_finished


def test_an_attempt_counts_for_its_endpoint(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(2)
    first, second = claim(database, 2)
    write(database, finished(first, TIMED_OUT), finished(second, DELIVERED))

    db.session.rollback()
    counted = db.session.execute(
        select(AttemptRollup.endpoint_id, AttemptRollup.outcome, AttemptRollup.count)
    )
    assert {tuple(row) for row in counted} == {(endpoint_id, "timeout", 1), (endpoint_id, "success", 1)}
    assert db.session.get_one(EndpointHealth, endpoint_id).last_success_at is not None


def test_what_is_not_counted_means_nothing_for_its_endpoint(
    workspace: Workspace, database: WriteDatabase
) -> None:
    """As attempts that a listener's program has made."""
    endpoint = workspace.endpoint(URL)
    workspace.send()
    [gone] = [finished(each, Outcome(OutcomeClass.HTTP_410, status=410)) for each in claim(database)]
    record(database, [gone], now=clock.now(), is_counted=False)

    db.session.rollback()
    assert [each.outcome for each in attempts()] == ["http_410"]
    assert db.session.get_one(Endpoint, endpoint).is_enabled
    assert db.session.scalars(select(AttemptRollup)).all() == []
    assert db.session.get_one(EndpointHealth, endpoint).failure_count == 0


def test_an_attempt_of_a_test_means_nothing_for_its_endpoint(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint = workspace.endpoint(URL)
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(is_test=True))
    write(database, *(finished(each, TIMED_OUT) for each in claim(database)))

    db.session.rollback()
    assert [each.outcome for each in attempts()] == ["timeout"]
    assert db.session.scalars(select(AttemptRollup)).all() == []
    assert db.session.get_one(EndpointHealth, endpoint).failure_count == 0


@pytest.mark.parametrize("is_erased", [False, True])
def test_of_a_late_success_whose_payload_was_erased_no_headers_are_kept(
    workspace: Workspace, database: WriteDatabase, is_erased: bool
) -> None:
    workspace.endpoint(URL)
    workspace.send()
    late, _ = claim_twice(database)
    if is_erased:
        with database.begin() as connection:
            connection.execute(update(Event).values(payload_erased_at=clock.now()))
    write(database, finished(late, DELIVERED, headers='[["a","b"]]'))

    assert deliveries()[0].state is DeliveryState.DELIVERED
    assert [each.request_headers for each in attempts()] == ["[]" if is_erased else '[["a","b"]]']


def test_an_answer_that_asks_for_patience_pauses_its_endpoint(
    workspace: Workspace, database: WriteDatabase
) -> None:
    patient, other = workspace.endpoint(URL), workspace.endpoint(f"{URL}/other")
    workspace.send()
    until = clock.now() + timedelta(seconds=30)
    first, second = (finished(each, TIMED_OUT) for each in claim(database, 1))
    asked = first if first.endpoint_id == patient else second
    asked.decision = replace(asked.decision, pause_endpoint_until=until)

    write(database, first, second)

    db.session.rollback()
    assert db.session.get_one(EndpointHealth, patient).rate_free_at == until
    assert db.session.get_one(EndpointHealth, other).rate_free_at is None


def test_a_410_disables_its_endpoint_and_no_other(workspace: Workspace, database: WriteDatabase) -> None:
    gone, other = workspace.endpoint(URL), workspace.endpoint(f"{URL}/other")
    workspace.send()
    answers = {gone: Outcome(OutcomeClass.HTTP_410, status=410), other: DELIVERED}

    write(database, *(finished(each, answers[each.endpoint_id]) for each in claim(database, 1)))

    db.session.rollback()
    states = {name: db.session.get_one(Endpoint, name).state for name in (gone, other)}
    assert states == {gone: EndpointState.DISABLED, other: EndpointState.ENABLED}
    assert db.session.scalars(select(Notice.kind)).all() == [NoticeKind.GONE]
    by = select(AuditEntry.actor, AuditEntry.target).where(AuditEntry.action == "endpoint.disable")
    assert [tuple(row) for row in db.session.execute(by)] == [("delivery", gone)]


def test_headers_are_packed_only_where_that_is_asked_for(
    workspace: Workspace, database: WriteDatabase
) -> None:
    """As whoever asks knows that no process runs any more which could not read them."""
    workspace.endpoint(URL)
    workspace.send()
    write(database, finished(claim(database)[0], DELIVERED))
    [attempt] = attempts()
    assert (attempt.plain_request_headers, attempt.packed_heads) == ("[]", None)
