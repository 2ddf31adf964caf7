"""What is sent together, what in isolation, and what cannot be sent."""

import threading
import time
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.conftest import MakeEngine, Workspace
from tests.monitoring.test_stored_formats import report
from tests.receivers import Answer, Received, Receiver, answer_after
from tests.statements import noted_statements
from tests.worker.attempted import attempts, damage, damage_text, deliveries, exchange
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import claim_sql
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint, EndpointState, Event, PendingDelivery
from webhooks_app.extensions import db
from webhooks_app.monitoring.own_report import WEB
from webhooks_app.worker import dispatcher
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.concurrency import ObservedHealth
from webhooks_app.worker.engine import DeliveryEngine
from webhooks_app.worker.engine_limits import ConcurrencyLimits, EngineLimits
from webhooks_app.worker.retry_decision import RetryDecision, decide

pytestmark = pytest.mark.usefixtures("queue_matches_states")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def claim_all(engine: DeliveryEngine) -> list[ClaimedDelivery]:
    engine._claimer.start_run()
    claimed = engine._claimer.claim(9, is_sending=False)
    assert claimed
    return claimed


def test_deliveries_with_two_expired_leases_are_sent_one_at_a_time(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(12)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(expired_leases=1, claimed_at=clock.now()))
    at_once = 0
    most = 0

    def watch(request: Received) -> Answer:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1
        return Answer()

    receiver.answer = watch
    engine.run(seconds=60)

    assert most == 1
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 12


@pytest.mark.parametrize("count", [6, 150], ids=["claimed with bodies", "bodies read apart"])
def test_a_damaged_body_fails_its_own_delivery_only(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase, count: int
) -> None:
    workspace.endpoint(receiver.url)
    first, second, third, fourth, *others = workspace.send(count)
    damage(database, first)
    damage_text(database, second)
    exchange(database, third, fourth)
    engine.run(seconds=60)

    assert len(receiver.received) == len(others)
    by_event = {each.event_id: each for each in deliveries()}
    assert {by_event[each].state for each in others} == {DeliveryState.DELIVERED}
    failed = [by_event[each] for each in (first, second, third, fourth)]
    assert {(each.state, each.last_outcome, each.attempt_count) for each in failed} == {
        (DeliveryState.FAILED, "payload", 1)
    }
    ids = {each.id for each in failed}
    assert [each.outcome for each in attempts() if each.delivery_id in ids] == ["payload"] * 4


@on_sqlite
def test_a_damaged_body_is_recorded_as_the_code_before_can_show_it_while_that_runs(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    [damaged] = workspace.send()
    damage(database, damaged)
    report(database, WEB)
    engine.run(seconds=60)

    [failed], [attempt] = deliveries(), attempts()
    assert (failed.state, failed.last_outcome) == (DeliveryState.FAILED, "platform")
    assert (attempt.outcome, attempt.detail) == ("platform", "The stored payload is damaged.")


@on_sqlite
def test_a_request_that_cannot_be_started_takes_no_other_along(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    broken, fine = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    with database.begin() as connection:  # not even a URL, which no form lets through
        connection.execute(update(Endpoint).where(Endpoint.id == broken).values(url="http://127.0.0.1:1/é"))
    workspace.send(3)
    engine.run(seconds=60)

    states = {(delivery.endpoint_id, delivery.state) for delivery in deliveries()}
    assert states == {(broken, DeliveryState.PENDING), (fine, DeliveryState.DELIVERED)}
    engine.drain()


@on_sqlite
def test_a_worker_may_send_to_more_endpoints_than_it_caches(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine = make_engine(limits=EngineLimits(cached_destinations=1))
    for _ in range(3):
        workspace.endpoint(receiver.url)
        workspace.endpoint(receiver.url)
        workspace.send()
        engine.run(seconds=60)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 2 + 4 + 6


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        (Answer(500), ObservedHealth.RESPONDING),
        (Answer(delay_seconds=60), ObservedHealth.UNRESPONSIVE),
        (Answer(announced_bytes=9), ObservedHealth.UNRESPONSIVE),
    ],
    ids=["errors", "silence", "successes that hold their slots"],
)
@on_sqlite
def test_the_concurrency_of_an_endpoint_that_fails_shrinks(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    answer: Answer,
    health: ObservedHealth,
) -> None:
    endpoint = workspace.endpoint(receiver.url)
    workspace.send(40)
    engine.run(seconds=60)
    grown = engine._concurrency.of(endpoint).limit
    if health is ObservedHealth.UNRESPONSIVE:  # which is not waited for that long
        with database.begin() as connection:
            connection.execute(update(Endpoint).values(timeout_ms=1000, updated_at=clock.now()))

    receiver.answer = answer
    workspace.send(5)
    engine.run(seconds=60)

    assert engine._concurrency.of(endpoint).limit < ConcurrencyLimits().initial < grown
    assert engine._concurrency.of(endpoint).health is health


@pytest.mark.parametrize("kind", ["usual", "suspect", "disabled", "erased"])
@pytest.mark.parametrize("is_dropped", [False, True])
@on_sqlite
def test_what_is_claimed_is_unsent_until_it_is_started_settled_or_dropped(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    kind: str,
    is_dropped: bool,
) -> None:
    endpoint = workspace.endpoint(receiver.url)
    workspace.send()
    if kind == "suspect":
        with database.begin() as connection:
            connection.execute(update(PendingDelivery).values(expired_leases=1, claimed_at=clock.now()))
    claimed = claim_all(engine)
    change = {
        "disabled": update(Endpoint).where(Endpoint.id == endpoint).values(state=EndpointState.DISABLED),
        "erased": update(Event).values(body=b""),
    }
    if kind in change:
        with database.begin() as connection:
            connection.execute(change[kind])
    sending, unsendable = engine._dispatcher, engine._unsendable
    assert not sending.has_unsent
    sending.add(claimed)
    assert sending.has_unsent
    sending.start_claimed()
    assert sending.has_unsent == (kind != "usual")
    if is_dropped:
        assert len(sending.drop_unsent()) == int(kind != "usual")
        assert not sending.has_unsent
        return
    sending.send_next_isolated()
    unsendable.settle_not_accepted()
    unsendable.cancel_erased()
    assert not sending.has_unsent
    assert sending.is_sending == (kind in ("usual", "suspect"))


def test_what_the_claim_brings_along_is_not_read_again(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    engine.run(seconds=60)
    workspace.send()
    engine._dispatcher.add(claim_all(engine))
    with noted_statements() as asked:
        engine._dispatcher.start_claimed()
    assert engine._dispatcher.is_sending
    assert bool(asked) != claim_sql.brings_bodies(database)


def test_suspects_that_a_run_did_not_get_to_are_sent_once_by_the_next(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send(3)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(expired_leases=1, claimed_at=clock.now()))
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer)

    while not receiver.received:
        engine.run(seconds=0.3)

    [in_flight] = (request.delivery_id for request in receiver.received)
    db.session.rollback()
    waiting = list(
        db.session.scalars(select(PendingDelivery).where(PendingDelivery.delivery_id != in_flight))
    )
    assert [row.claimed_at for row in waiting] == [None, None]
    assert all(row.next_attempt_at <= clock.now() for row in waiting)
    may_answer.set()
    while engine.work_in_flight():
        pass
    engine.run(seconds=60)
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 3


def test_of_what_a_worker_abandons_nothing_is_left(
    workspace: Workspace, receiver: Receiver, make_engine: MakeEngine
) -> None:
    engine = make_engine(limits=EngineLimits(stop_grace_seconds=0.2))
    endpoint = workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send(3)
    free = engine._dispatcher.free_slots
    may_answer = threading.Event()
    receiver.answer = answer_after(may_answer)

    engine.run(seconds=60, should_stop=lambda: len(receiver.received) == 3)

    assert not engine.work_in_flight()
    assert engine._dispatcher.free_slots == free
    assert engine._concurrency.of(endpoint).in_flight == 0
    may_answer.set()


@on_sqlite
def test_of_what_is_abandoned_no_answer_is_taken_that_came_before(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, timeout_ms=30_000)
    workspace.send()
    sending, may_answer = engine._dispatcher, threading.Event()
    receiver.answer = answer_after(may_answer)
    sending.add(claim_all(engine))
    sending.start_claimed()
    [key] = sending.in_flight
    sending._answers.append((key, Outcome(OutcomeClass.TIMEOUT)))
    assert len(sending.abandon()) == 1
    sending.take_answers(0)
    assert not sending.is_sending
    may_answer.set()


@on_sqlite
def test_an_answer_that_ends_in_an_exception_takes_no_other_along(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(3)
    failing = [True]

    def decide_or_fail(*arguments: Any, **options: Any) -> RetryDecision:
        if failing:
            failing.pop()
            raise RuntimeError("unforeseen")
        return decide(*arguments, **options)

    poll, came = engine._sender.poll, list[Any]()

    def poll_for_all(wait_ms: int) -> list[Any]:
        came.extend(poll(wait_ms))
        if len(came) < 3:
            return []
        answers, came[:] = list(came), []
        return answers

    monkeypatch.setattr(dispatcher, "decide", decide_or_fail)
    monkeypatch.setattr(engine._sender, "poll", poll_for_all)
    with pytest.raises(RuntimeError, match="unforeseen"):
        engine.run(seconds=60)
    engine.drain()
    states = sorted(delivery.state for delivery in deliveries())
    assert states == [DeliveryState.DELIVERED, DeliveryState.DELIVERED, DeliveryState.PENDING]
    assert not engine._dispatcher.is_sending
