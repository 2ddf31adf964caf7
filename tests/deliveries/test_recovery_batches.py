"""What a recovery does with its deliveries: sends what waits, replays what is finished, cancels."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.deliveries.conftest import SMALL_BATCHES, claim, fail_all, newest_ids, read_recovery, states
from tests.deliveries.conftest import start_recovery as start
from tests.receivers import Answer, Receiver
from tests.worker.attempted import attempts, make_due
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Delivery, PendingDelivery, RecoveryAction, RecoveryState
from webhooks_app.deliveries import recovery_progress, recovery_runs
from webhooks_app.deliveries.log.filters import LogFilter, Status, TrafficKind
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

RETRYING = LogFilter(status=Status.RETRYING)
UNDELIVERED = LogFilter(status=Status.UNDELIVERED)

pytestmark = pytest.mark.usefixtures("later", "queue_matches_states")


@pytest.fixture
def run(databases: Databases, wake_ups: WakeUps, workspace: Workspace) -> Callable[..., str]:
    """Start a recovery and work on it to its end; its id."""

    def work(wanted: LogFilter, action: RecoveryAction = RecoveryAction.REPLAY) -> str:
        recovery_id = start(databases, wake_ups, workspace, wanted, action=action)
        recovery_runs.run_all(databases, wake_ups, limits=SMALL_BATCHES)
        return recovery_id

    return work


def retry_later(database: WriteDatabase, count: int) -> dict[str, datetime]:
    """As if an attempt of the oldest `count` pending deliveries had failed an hour ago; their due times."""
    due_at = clock.now() + timedelta(hours=4)
    pending = select(PendingDelivery.delivery_id).order_by(PendingDelivery.delivery_id).limit(count)
    with database.begin() as connection:
        chosen = list(connection.scalars(pending))
        shared = {"next_attempt_at": due_at, "attempts_in_schedule": 2}
        connection.execute(
            update(PendingDelivery).where(PendingDelivery.delivery_id.in_(chosen)).values(shared)
        )
        connection.execute(
            update(Delivery)
            .where(Delivery.id.in_(chosen))
            .values(shared | {"attempt_count": 2, "last_outcome": "http_4xx", "last_status": 404})
        )
    return dict.fromkeys(chosen, due_at)


def due_times() -> dict[str, datetime]:
    db.session.rollback()
    rows = db.session.execute(select(PendingDelivery.delivery_id, PendingDelivery.next_attempt_at))
    return {row[0]: row[1] for row in rows}


def test_what_is_retrying_is_sent_now_and_its_schedule_stays(
    workspace: Workspace,
    endpoint_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    run: Callable[..., str],
) -> None:
    workspace.send(20)
    due = retry_later(database, 20)
    receiver.answer = Answer(404)
    recovery = read_recovery(run(RETRYING, RecoveryAction.SEND))
    engine.run(seconds=60)

    assert (recovery.state, recovery.handled, recovery.left_out) == (RecoveryState.DONE, 20, 0)
    assert due_times() == due
    assert {each.is_manual for each in attempts()} == {True}
    assert len(receiver.received) == 20
    assert set(db.session.scalars(select(Delivery.attempts_in_schedule))) == {2}


def test_a_recovery_of_what_did_not_arrive_takes_the_failed_and_the_retrying(
    workspace: Workspace,
    endpoint_id: str,
    engine: DeliveryEngine,
    database: WriteDatabase,
    run: Callable[..., str],
) -> None:
    workspace.send(8)
    fail_all(database)
    workspace.send(8)
    retry_later(database, 8)
    recovery_id = run(UNDELIVERED)
    engine.run(seconds=60)
    assert states() == {"delivered": 16}
    assert read_recovery(recovery_id).handled == 16
    assert [each.is_manual for each in attempts()] == [False] * 8 + [True] * 8


def test_whatever_waits_is_canceled_and_the_rest_is_left(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, run: Callable[..., str]
) -> None:
    workspace.send(5)
    fail_all(database)
    workspace.send(16)
    retry_later(database, 10)
    in_flight = newest_ids(workspace)[0]
    claim(database, in_flight)

    recovery = read_recovery(run(LogFilter(), RecoveryAction.CANCEL))

    assert states() == {"failed": 5, "canceled": 15, "pending": 1}
    assert (recovery.handled, recovery.left_out) == (15, 1)
    assert list(due_times()) == [in_flight]


def test_a_filter_without_a_status_replays_what_arrived_and_sends_what_waits(
    workspace: Workspace,
    endpoint_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    run: Callable[..., str],
) -> None:
    workspace.send(4)
    engine.run(seconds=60)
    workspace.send(4)
    retry_later(database, 4)
    run(LogFilter())
    engine.run(seconds=60)
    assert states() == {"delivered": 8}
    assert len(receiver.received) == 12


def test_text_and_traffic_narrow_it(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, run: Callable[..., str]
) -> None:
    workspace.send(10)
    workspace.send(3, note="needle")
    fail_all(database)
    test, *_ = newest_ids(workspace)
    with database.begin() as connection:
        connection.execute(update(Delivery).where(Delivery.id == test).values(is_test=True))
    wanted = LogFilter(status=Status.FAILED, q="needle", traffic=TrafficKind.REAL)
    assert read_recovery(run(wanted)).handled == 2
    assert states() == {"failed": 11, "pending": 2}


def test_another_workspaces_deliveries_are_never_touched(
    workspace: Workspace,
    make_workspace: Callable[[str], Workspace],
    receiver: Receiver,
    endpoint_id: str,
    database: WriteDatabase,
    run: Callable[..., str],
) -> None:
    other = make_workspace("Other")
    other.endpoint(receiver.url)
    for each in (workspace, other):
        each.send(5)
    run(LogFilter(), RecoveryAction.CANCEL)
    assert set(due_times()) == set(newest_ids(other))


def test_what_became_of_its_deliveries_is_counted(
    workspace: Workspace,
    endpoint_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    run: Callable[..., str],
) -> None:
    workspace.send(12)
    retry_later(database, 12)
    first = run(UNDELIVERED)
    receiver.answer = Answer(503)
    engine.run(seconds=60)
    outcomes = recovery_progress.read_outcomes(db.session(), read_recovery(first))
    assert (outcomes.retrying, outcomes.delivered, outcomes.is_settled) == (12, 0, False)

    receiver.answer = Answer(200)
    taken = replace(LogFilter(), q=newest_ids(workspace)[0])
    second = run(taken)
    make_due(database)
    engine.run(seconds=60)

    outcomes = recovery_progress.read_outcomes(db.session(), read_recovery(first))
    assert (outcomes.delivered, outcomes.retrying, outcomes.gone) == (11, 0, 1)
    assert outcomes.is_settled
    assert recovery_progress.read_outcomes(db.session(), read_recovery(second)).delivered == 1
    bounded = recovery_progress.read_outcomes(db.session(), read_recovery(first), limit=5)
    assert (bounded.delivered, bounded.gone) == (5, None)


def test_a_rate_holds_whoever_works_on_it(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(20)
    retry_later(database, 20)
    recovery_id = start(
        databases, wake_ups, workspace, RETRYING, action=RecoveryAction.SEND, rate_per_second=5
    )
    began = clock.now()
    batch = recovery_runs.take_next_batch(databases, recovery_id)
    next_batch_at = read_recovery(recovery_id).next_batch_at
    assert batch.handled == 5
    assert next_batch_at is not None
    assert began + timedelta(seconds=1) <= next_batch_at <= clock.now() + timedelta(seconds=1)

    recovery_runs.run_all(databases, wake_ups)
    finished_at = read_recovery(recovery_id).finished_at
    assert finished_at is not None
    assert finished_at - began >= timedelta(seconds=2)
    assert read_recovery(recovery_id).handled == 20
