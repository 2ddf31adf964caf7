"""The data path from accept to the recorded attempt, on both databases, to a real receiver."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import select, update
from standardwebhooks import Webhook

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Received, Receiver
from webhooks_app.config import Settings
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    Attempt,
    AttemptRollup,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    EndpointState,
    PendingDelivery,
    SigningSecret,
)
from webhooks_app.deliveries import replays
from webhooks_app.deliveries.replays import ReplayResult
from webhooks_app.endpoints import actions, signing_secrets
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims
from webhooks_app.worker import engine as engine_module
from webhooks_app.worker.engine import LAPSES_TO_GIVE_UP, DeliveryEngine

LEASE = timedelta(seconds=60)


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


@pytest.fixture(autouse=True)
def _queue_matches_states(app: Flask) -> Iterator[None]:
    """After each test: what is pending is in the queue, and nothing else is."""
    yield
    assert queued() == {delivery.id for delivery in deliveries() if delivery.state is DeliveryState.PENDING}


def make_due(database: WriteDatabase) -> None:
    """Lets the retry's time come."""
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now()))


def test_an_accepted_event_arrives_signed(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    [event_id] = workspace.send()

    engine.run(seconds=5)

    [request] = receiver.received
    endpoint = db.session.get_one(Endpoint, endpoint_id)
    [secret] = signing_secrets.reveal(database, services(app).cipher, endpoint, actor=TESTER)
    payload = Webhook(secret).verify(request.body, request.headers)
    assert payload["id"] == event_id
    assert payload["type"] == "batch-lifecycle"
    assert payload["workspace_id"] == workspace.id
    assert payload["timestamp"].endswith("Z")
    assert list(payload) == ["id", "type", "timestamp", "workspace_id", "data"]
    [delivery] = deliveries()
    assert request.headers["webhook-id"] == delivery.id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Avra-Webhooks/")
    assert not {"accept", "expect"} & set(request.headers)
    assert (delivery.state, delivery.attempt_count, delivery.last_status) == (DeliveryState.DELIVERED, 1, 200)
    assert delivery.next_attempt_at is None
    assert delivery.finished_at is not None


def test_the_attempt_is_logged_as_it_was(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, headers=[("X-Tenant", "s3cret")])
    workspace.send()
    receiver.answer = Answer(201, b"\x00\xff made", {"X-Trace": "abc"})

    engine.run(seconds=5)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.status, attempt.detail) == ("success", 201, None)
    assert attempt.response_body == b"\x00\xff made"
    assert attempt.response_headers is not None
    assert b"X-Trace: abc" in attempt.response_headers
    assert attempt.remote_address == "127.0.0.1"
    assert 0 < attempt.connect_us <= attempt.first_byte_us <= attempt.total_us
    headers = dict(json.loads(attempt.request_headers))
    assert headers["webhook-signature"] == receiver.received[0].headers["webhook-signature"]
    assert receiver.received[0].headers["x-tenant"] == "s3cret"
    assert "s3cret" not in attempt.request_headers


def test_an_endpoint_may_have_its_own_user_agent(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, headers=[("User-Agent", "Billing/2")])
    workspace.send()
    engine.run(seconds=5)

    assert receiver.received[0].headers["user-agent"] == "Billing/2"
    [attempt] = attempts()
    assert attempt.request_headers.lower().count("user-agent") == 1


def test_a_detail_that_quotes_what_is_no_text_is_kept(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(503, headers={"transfer-encoding": "ch\xffnked"})

    engine.run(seconds=5)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.status) == ("invalid_response", 503)
    assert r"(ch\xffnked)" in str(attempt.detail)


def test_a_failure_is_retried_with_the_same_id_and_bytes(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    engine.run(seconds=5)

    [delivery] = deliveries()
    assert (delivery.state, delivery.last_outcome, delivery.attempts_in_schedule) == (
        DeliveryState.PENDING,
        "http_5xx",
        1,
    )
    assert delivery.next_attempt_at is not None and delivery.last_attempt_at is not None
    assert delivery.next_attempt_at > delivery.last_attempt_at + timedelta(seconds=4.5)
    assert delivery.next_attempt_at <= clock.now() + timedelta(seconds=5.5)
    [(name, moment)] = wake_ups.scheduled()
    assert name == f"due-{int(moment.timestamp())}"
    assert timedelta(0) <= moment - delivery.next_attempt_at < timedelta(seconds=1)

    receiver.answer = Answer(200)
    make_due(database)
    engine.run(seconds=5)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 2)
    first, second = receiver.received
    assert first.delivery_id == second.delivery_id
    assert first.body == second.body
    assert [attempt.outcome for attempt in attempts()] == ["http_5xx", "success"]


def test_a_thousand_failures_of_one_second_make_one_scheduled_job(wake_ups: WakeUps, app: Flask) -> None:
    moment = datetime(2030, 1, 1, 12, 0, 0, 200_000, tzinfo=UTC)

    wake_ups.at([moment + timedelta(milliseconds=offset % 700) for offset in range(1000)])

    assert wake_ups.scheduled() == [
        (f"due-{int(moment.timestamp()) + 1}", datetime(2030, 1, 1, 12, 0, 1, tzinfo=UTC))
    ]


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
        engine.run(seconds=5)
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
    receiver.answer = Answer(429, headers={"Retry-After": "120"})

    engine.run(seconds=5)

    [delivery] = deliveries()
    assert delivery.next_attempt_at is not None and delivery.last_attempt_at is not None
    assert delivery.next_attempt_at >= delivery.last_attempt_at + timedelta(seconds=120)
    assert delivery.next_attempt_at <= clock.now() + timedelta(seconds=120)


def test_a_410_disables_the_endpoint_and_holds_the_rest(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(410)
    engine.run(seconds=5)

    endpoint = db.session.get_one(Endpoint, endpoint_id)
    assert not endpoint.is_enabled
    assert endpoint.disabled_reason == "The endpoint answered 410 Gone."
    assert deliveries()[0].state is DeliveryState.FAILED

    workspace.send()
    engine.run(seconds=5)
    assert [delivery.state for delivery in deliveries()] == [DeliveryState.FAILED, DeliveryState.HELD]
    assert len(receiver.received) == 1

    receiver.answer = Answer(200)
    assert actions.enable(database, endpoint, send_held=True, actor=TESTER) == 1
    engine.run(seconds=5)
    assert [delivery.state for delivery in deliveries()] == [DeliveryState.FAILED, DeliveryState.DELIVERED]


def test_held_deliveries_can_be_discarded(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, databases: Databases
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    actions.disable(databases.write, endpoint, actor=TESTER)
    workspace.send(3)

    assert actions.held_count(databases.read, endpoint.id) == 3
    actions.enable(databases.write, endpoint, send_held=False, actor=TESTER)
    engine.run(seconds=5)

    assert {delivery.state for delivery in deliveries()} == {DeliveryState.CANCELED}
    assert receiver.received == []


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
    engine.run(seconds=5)

    states = {delivery.id: delivery.state for delivery in deliveries()}
    first, second = (request.delivery_id for request in receiver.received)
    assert states == {first: DeliveryState.DELIVERED, second: DeliveryState.PENDING}
    assert [attempt.delivery_id for attempt in attempts()] == [first]


def test_a_claim_whose_worker_dies_again_and_again_is_given_up(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()

    for lapses in range(LAPSES_TO_GIVE_UP):
        with database.begin() as connection:
            [claim] = claims.take(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)
        assert claim.lapses == lapses
        with database.begin() as connection:
            assert claims.take(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE) == []
        if lapses >= claims.LAPSES_TO_SEND_ALONE:
            assert claims.mark_claimed(database, claim, now=clock.now())
        make_due(database)
    engine.run(seconds=5)

    [delivery] = deliveries()
    assert (delivery.state, delivery.last_outcome) == (DeliveryState.FAILED, "crashed")
    assert receiver.received == []


def test_a_suspect_that_only_waits_is_not_blamed_for_its_workers_death(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(expired_leases=claims.LAPSES_TO_SEND_ALONE))

    for _ in range(10):
        with database.begin() as connection:
            [claim] = claims.take(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)
        assert claim.lapses == claims.LAPSES_TO_SEND_ALONE
        make_due(database)
    engine.run(seconds=5)

    assert deliveries()[0].state is DeliveryState.DELIVERED


def test_handing_back_makes_a_claim_due_at_once(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        taken = claims.take(connection, {endpoint_id: 5}, now=clock.now(), lease=LEASE)

    claims.release(database, taken, now=clock.now())
    engine.run(seconds=5)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)


def test_a_claim_takes_a_share_of_every_endpoint(workspace: Workspace, database: WriteDatabase) -> None:
    busy, quiet = (workspace.endpoint("http://127.0.0.1:9/", name=name) for name in ("busy", "quiet"))
    workspace.send(40)

    with database.begin() as connection:
        lanes = claims.scan(connection, after="")
        taken = claims.take(connection, {busy: 8, quiet: 4}, now=clock.now(), lease=LEASE)

    assert [lane.endpoint_id for lane in lanes] == sorted([busy, quiet])
    counts = {name: sum(claim.endpoint_id == name for claim in taken) for name in (busy, quiet)}
    assert counts == {busy: 8, quiet: 4}


def test_lanes_go_on_behind_the_cursor(workspace: Workspace, database: WriteDatabase) -> None:
    names = sorted(workspace.endpoint("http://127.0.0.1:9/", name=str(number)) for number in range(5))
    workspace.send()

    with database.begin() as connection:
        first = claims.scan(connection, after="", count=2)
        rest = claims.scan(connection, after=first[-1].endpoint_id, count=10)

    assert [lane.endpoint_id for lane in first + rest] == names


def test_many_deliveries_to_many_endpoints_all_arrive_once(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    for number in range(20):
        workspace.endpoint(f"{receiver.url}/{number}", name=str(number))
    workspace.send(60)

    tally = engine.run(seconds=30)

    assert tally.claimed == tally.recorded == 1200
    assert len({request.delivery_id for request in receiver.received}) == len(receiver.received) == 1200
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}


def test_more_endpoints_than_one_claim_looks_at_all_get_their_turn(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "LANES_PER_LOOK", 4)
    for number in range(10):
        workspace.endpoint(receiver.url, name=str(number))
    workspace.send(40)

    tally = engine.run(seconds=30)

    assert tally.recorded == len(receiver.received) == 400


def test_outcomes_add_up_in_health_and_rollups(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(30)
    receiver.answer = lambda request: Answer(random.choice([200, 500]))

    engine.run(seconds=5)

    counted: dict[str, int] = {}
    for row in db.session.scalars(select(AttemptRollup)):
        assert row.endpoint_id == endpoint_id
        counted[row.outcome] = counted.get(row.outcome, 0) + row.count
    outcomes = [attempt.outcome for attempt in attempts()]
    assert counted == {name: outcomes.count(name) for name in set(outcomes)}
    health = db.session.get_one(EndpointHealth, endpoint_id)
    assert (health.last_success_at is not None) == ("success" in outcomes)
    assert (health.last_failure_at is not None) == ("http_5xx" in outcomes)


def test_a_streak_of_failures_is_dated_from_its_first(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    receiver.answer = Answer(500)
    workspace.send()
    engine.run(seconds=5)
    first = db.session.get_one(EndpointHealth, endpoint_id).failing_since
    assert first is not None
    workspace.send()
    engine.run(seconds=5)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.get_one(EndpointHealth, endpoint_id).failing_since == first

    receiver.answer = Answer(200)
    workspace.send()
    engine.run(seconds=5)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.get_one(EndpointHealth, endpoint_id).failing_since is None


def test_both_secrets_sign_during_the_overlap(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    cipher = services(app).cipher
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    [old] = signing_secrets.reveal(database, cipher, endpoint, actor=TESTER)
    signing_secrets.rotate(database, cipher, endpoint, overlap=timedelta(hours=1), actor=TESTER)
    new, also = signing_secrets.reveal(database, cipher, endpoint, actor=TESTER)
    assert also == old != new

    workspace.send()
    engine.run(seconds=5)
    [request] = receiver.received
    assert request.headers["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)

    signing_secrets.rotate(database, cipher, endpoint, overlap=timedelta(0), actor=TESTER)
    assert len(signing_secrets.reveal(database, cipher, endpoint, actor=TESTER)) == 1


def test_an_unreadable_secret_sends_nothing(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    good, bad = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    stolen = select(SigningSecret.ciphertext).where(SigningSecret.endpoint_id == good).scalar_subquery()
    with database.begin() as connection:
        connection.execute(
            update(SigningSecret).where(SigningSecret.endpoint_id == bad).values(ciphertext=stolen)
        )
    workspace.send()

    engine.run(seconds=5)

    outcomes = {delivery.endpoint_id: delivery.last_outcome for delivery in deliveries()}
    assert outcomes == {good: "success", bad: "secret"}
    assert len(receiver.received) == 1


def test_a_delivery_committed_for_a_closed_endpoint_is_held(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(Endpoint).where(Endpoint.id == endpoint_id).values(state="disabled"))

    engine.run(seconds=5)

    assert deliveries()[0].state is DeliveryState.HELD
    assert receiver.received == []


@pytest.mark.parametrize("status", [200, 500])
def test_a_replay_of_a_finished_delivery_starts_afresh(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
    status: int,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(410 if status == 500 else 200)
    engine.run(seconds=5)
    [delivery] = deliveries()
    actions.enable(database, delivery.endpoint, send_held=True, actor=TESTER)
    receiver.answer = Answer(status)

    result = replays.start(database, wake_ups, workspace.id, delivery.id, actor=TESTER)
    engine.run(seconds=5)

    assert result is ReplayResult.STARTED
    [delivery] = deliveries()
    assert (delivery.attempt_count, delivery.attempts_in_schedule) == (2, 1)
    assert delivery.state is (DeliveryState.DELIVERED if status == 200 else DeliveryState.PENDING)
    assert len({request.delivery_id for request in receiver.received}) == 1


def test_a_replay_of_a_pending_delivery_is_sent_now_and_keeps_its_schedule(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    engine.run(seconds=5)
    [delivery] = deliveries()

    assert replays.start(database, wake_ups, workspace.id, delivery.id, actor=TESTER) is ReplayResult.SENT_NOW
    engine.run(seconds=5)

    [delivery] = deliveries()
    assert (delivery.state, delivery.attempts_in_schedule) == (DeliveryState.PENDING, 2)


def test_a_replay_to_a_closed_endpoint_is_refused(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    wake_ups: WakeUps,
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    workspace.send()
    engine.run(seconds=5)
    [delivery] = deliveries()
    actions.disable(database, endpoint, actor=TESTER)
    assert (
        replays.start(database, wake_ups, workspace.id, delivery.id, actor=TESTER)
        is ReplayResult.ENDPOINT_DISABLED
    )
    actions.remove(database, endpoint, actor=TESTER)
    assert (
        replays.start(database, wake_ups, workspace.id, delivery.id, actor=TESTER)
        is ReplayResult.ENDPOINT_DELETED
    )


def test_wake_ups_are_coalesced(wake_ups: WakeUps, settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        for _ in range(100):
            wake_ups.now()
        assert redis.llen("rq:queue:deliveries") == 1
        assert wake_ups.is_asked()
        assert not wake_ups.is_asked()


def test_a_run_that_is_awake_needs_no_job_until_it_ends(wake_ups: WakeUps, settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        wake_ups.begin()
        for _ in range(100):
            wake_ups.now()
            assert wake_ups.is_asked()
        assert redis.llen("rq:queue:deliveries") == 0
        wake_ups.now()
        wake_ups.end(expects_more=False)
        assert redis.llen("rq:queue:deliveries") == 1
        wake_ups.begin()
        wake_ups.end(expects_more=False)
        assert redis.llen("rq:queue:deliveries") == 1


def test_steady_traffic_leaves_no_jobs_behind(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, settings: Settings
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    running = threading.Thread(target=engine.run, kwargs={"seconds": 20})
    running.start()
    for _ in range(40):
        workspace.send()
        time.sleep(0.02)
    running.join()
    engine.run(seconds=30)  # on a busy machine the traffic is not steady enough for one run to see all of it

    assert len(receiver.received) == 41
    with Redis.from_url(settings.redis_url) as redis:
        assert redis.llen("rq:queue:deliveries") <= 2


def test_deliveries_that_lapsed_twice_are_sent_one_at_a_time(
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
    engine.run(seconds=10)

    assert most == 1
    assert {delivery.state for delivery in deliveries()} == {DeliveryState.DELIVERED}
    assert len(receiver.received) == 12


def test_what_is_in_flight_is_handed_back_when_the_worker_has_to_stop(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "STOP_GRACE_SECONDS", 0.3)
    workspace.endpoint(receiver.url, timeout_ms=20_000)
    workspace.send(3)
    receiver.answer = Answer(delay_seconds=30)

    engine.run(seconds=60, should_stop=lambda: len(receiver.received) == 3)

    db.session.rollback()
    for row in db.session.scalars(select(PendingDelivery)):
        assert row.claimed_at is None
        assert row.next_attempt_at <= clock.now()
    assert {delivery.attempt_count for delivery in deliveries()} == {0}


def test_a_rate_limit_holds_across_workers(
    app: Flask,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    make_engine: Callable[[], DeliveryEngine],
) -> None:
    workspace.endpoint(receiver.url, rate_per_second=40)
    workspace.send(30)
    arrivals: list[float] = []
    receiver.answer = lambda request: arrivals.append(time.monotonic()) or Answer()
    other = threading.Thread(target=make_engine().run, kwargs={"seconds": 60})

    began = time.monotonic()
    other.start()
    engine.run(seconds=60)
    other.join()

    assert len(arrivals) == 30
    # 30 at 40 a second take 0.75 s, less one burst of 4. Counted from before the first claim, which on a busy
    # machine comes a while before the first arrival.
    assert 0.65 < max(arrivals) - began < 30


def test_a_limited_endpoint_does_not_slow_down_the_others(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    limited = workspace.endpoint(receiver.url, rate_per_second=1)
    with Receiver() as unlimited:
        free = workspace.endpoint(unlimited.url)
        workspace.send(100)

        began = time.monotonic()
        engine.run(seconds=60, should_stop=lambda: len(unlimited.received) == 100 and bool(receiver.received))
        seconds = time.monotonic() - began

    counts = Counter(delivery.endpoint_id for delivery in deliveries() if delivery.attempt_count)
    assert counts[free] == 100
    assert 1 <= counts[limited] <= 2 + seconds


def test_what_was_committed_for_an_endpoint_deleted_meanwhile_is_canceled(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    deleted, disabled = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    workspace.send()
    with database.begin() as connection:  # as if the accept had committed just after the admin had
        shut = update(Endpoint).values(state=EndpointState.DISABLED, updated_at=clock.now())
        connection.execute(shut.where(Endpoint.id == disabled))
        connection.execute(shut.where(Endpoint.id == deleted).values(deleted_at=clock.now()))
    engine.run(seconds=5)

    states = {delivery.endpoint_id: delivery.state for delivery in deliveries()}
    assert states == {deleted: DeliveryState.CANCELED, disabled: DeliveryState.HELD}
    assert receiver.received == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_waiting_for_the_lock_is_not_taken_off_the_lease(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, databases: Databases
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    is_held, released_at, ends_at = threading.Event(), [], []

    def hold() -> None:
        with databases.write.begin():
            is_held.set()
            time.sleep(1)
            released_at.append(clock.now())

    def answer(_: Received) -> Answer:
        with databases.read.connect() as connection:
            ends_at.append(connection.scalars(select(PendingDelivery.next_attempt_at)).one())
        return Answer()

    receiver.answer = answer
    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    engine.run(seconds=30)
    holder.join()

    assert ends_at[0] >= released_at[0] + LEASE
