"""Recovery: what a filter finds is replayed, each once, whatever interrupts it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import SMALL_BATCHES, fail_all, read_recovery, start_recovery, states
from tests.receivers import Receiver
from tests.waiting import wait_for
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    Delivery,
    DeliveryState,
    Endpoint,
    Event,
    PendingDelivery,
    Recovery,
    RecoveryState,
)
from webhooks_app.deliveries import recovery_progress, recovery_runs, replays
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.deliveries.recovery_runs import RecoveryLimits
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("later")


def test_every_failed_delivery_is_replayed_once_and_arrives(
    workspace: Workspace,
    endpoint_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    workspace.send(30)
    fail_all(database)

    recovery_id = start_recovery(databases, wake_ups, workspace)
    assert read_recovery(recovery_id).total == 30
    assert recovery_runs.run_all(databases, wake_ups, limits=SMALL_BATCHES) == 30
    engine.run(seconds=60)

    assert states() == {"delivered": 30}
    assert len(receiver.received) == len({each.headers["webhook-id"] for each in receiver.received}) == 30
    done = read_recovery(recovery_id)
    assert (done.state, done.handled, done.left_out) == (RecoveryState.DONE, 30, 0)
    assert recovery_progress.progress(done) == recovery_progress.Progress(1.0, 30, 30)
    assert not recovery_runs.is_any_running(databases.read)


def test_one_that_was_killed_goes_on_where_it_stood(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(20)
    fail_all(database)
    recovery_id = start_recovery(databases, wake_ups, workspace)

    first = recovery_runs.take_next_batch(databases, recovery_id, limits=SMALL_BATCHES)
    half = recovery_progress.progress(read_recovery(recovery_id))
    assert (first.handled, half.done, half.share) == (7, 7, 0.35)
    assert recovery_runs.is_any_running(databases.read)
    assert recovery_runs.run_all(databases, wake_ups, limits=SMALL_BATCHES) == 13
    assert states() == {"pending": 20}


def test_several_workers_at_it_replay_nothing_twice(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(60)
    fail_all(database)
    recovery_id = start_recovery(databases, wake_ups, workspace)

    with ThreadPoolExecutor(4) as pool:
        counts = list(
            pool.map(lambda _: recovery_runs.run_all(databases, wake_ups, limits=SMALL_BATCHES), range(4))
        )

    assert sum(counts) == 60
    assert read_recovery(recovery_id).handled == 60
    assert states() == {"pending": 60}


def test_what_cannot_or_need_not_be_replayed_is_left_out_and_counted(
    workspace: Workspace,
    receiver: Receiver,
    endpoint_id: str,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    gone = workspace.endpoint(receiver.url, name="gone")
    off = workspace.endpoint(receiver.url, name="off")
    workspace.send(4)
    fail_all(database)
    actions.remove(database, db.session.get_one(Endpoint, gone), actor=TESTER)
    actions.disable(database, db.session.get_one(Endpoint, off), actor=TESTER)

    recovery_id = start_recovery(databases, wake_ups, workspace)
    recovery_runs.run_all(databases, wake_ups)

    done = read_recovery(recovery_id)
    assert (done.total, done.handled, done.left_out) == (12, 4, 8)


def test_what_has_no_payload_any_more_is_passed_over_and_counted(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(4)
    fail_all(database)
    with database.begin() as connection:
        erased = list(db.session.scalars(select(Event.id).order_by(Event.id).limit(3)))
        payload_rows.erase_bodies(connection, erased, now=clock.now())

    recovery_id = start_recovery(databases, wake_ups, workspace)
    recovery_runs.run_all(databases, wake_ups)

    done = read_recovery(recovery_id)
    assert (done.total, done.handled, done.left_out, done.without_payload) == (4, 1, 3, 3)
    assert states() == {"pending": 1, "failed": 3}


def test_a_delivery_that_someone_replayed_meanwhile_is_not_sent_again(
    workspace: Workspace,
    endpoint_id: str,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    workspace.send(3)
    fail_all(database)
    recovery_id = start_recovery(databases, wake_ups, workspace)
    delivery_id = db.session.scalars(select(Delivery.id).order_by(Delivery.id).limit(1)).one()
    replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
    engine.run(seconds=60)
    recovery_runs.run_all(databases, wake_ups)
    engine.run(seconds=60)

    assert [each.headers["webhook-id"] for each in receiver.received].count(delivery_id) == 1
    assert read_recovery(recovery_id).handled == 2


def test_new_events_are_not_kept_waiting_behind_a_recovery(
    workspace: Workspace,
    endpoint_id: str,
    engine: DeliveryEngine,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    limits = RecoveryLimits(batch_rows=10, most_due=20, longest_wait_seconds=600)
    workspace.send(50)
    fail_all(database)
    start_recovery(databases, wake_ups, workspace)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(recovery_runs.run_all, databases, wake_ups, limits=limits)
        wait_for(lambda: states().get("pending") == 20)
        time.sleep(3 * limits.poll_seconds)
        assert states() == {"failed": 30, "pending": 20}
        while not running.done():
            engine.run(seconds=1)
        engine.run(seconds=60)
    assert states() == {"delivered": 50}


def test_another_workspaces_dead_endpoint_holds_up_nobody(
    make_workspace: Callable[[str], Workspace],
    receiver: Receiver,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    limits = RecoveryLimits(batch_rows=5, most_due=5, longest_wait_seconds=600)
    slow, quick = make_workspace("Slow"), make_workspace("Quick")
    for each in (slow, quick):
        each.endpoint(receiver.url)
        each.send(20)
    fail_all(database)
    for each in (slow, quick):
        start_recovery(databases, wake_ups, each)
    drained: list[str] = []

    def drain() -> bool:
        """As if Quick's endpoint took everything at once; ends when Quick's recovery has."""
        with database.begin() as connection:
            mine = select(Delivery.id).where(Delivery.workspace_id == quick.id)
            gone = delete(PendingDelivery).where(PendingDelivery.delivery_id.in_(mine))
            connection.execute(gone)
        done = select(Recovery.finished_at).where(Recovery.workspace_id == quick.id)
        with database.begin() as connection:
            drained.append("turn")
            return connection.scalar(done) is not None

    began = time.monotonic()
    recovery_runs.run_all(databases, wake_ups, should_stop=drain, limits=limits)
    assert time.monotonic() - began < limits.longest_wait_seconds
    assert drained


def test_room_is_looked_for_at_every_endpoint_of_a_batch(
    workspace: Workspace, receiver: Receiver, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    first, second = (workspace.endpoint(receiver.url, name=name) for name in ("a", "b"))
    workspace.send(4)
    fail_all(database)
    batch = recovery_runs.take_next_batch(databases, start_recovery(databases, wake_ups, workspace))
    assert batch.endpoint_ids == {first, second}


@pytest.mark.parametrize("text", ["Batch_1", "only here"])
def test_a_recovery_by_value_or_text_deals_with_what_it_found_at_the_start(
    workspace: Workspace,
    endpoint_id: str,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
    text: str,
) -> None:
    wanted = workspace.send(10, batch_id="batch_1", note="Only here")
    workspace.send(10, batch_id="batch_2")
    fail_all(database)
    log_filter = LogFilter(status=Status.FAILED, q=text)
    recovery_id = start_recovery(databases, wake_ups, workspace, log_filter)
    workspace.send(1, batch_id="only here")  # from now on a value, too

    recovery_runs.run_all(databases, wake_ups, limits=SMALL_BATCHES)

    assert read_recovery(recovery_id).handled == 10
    waiting = select(Delivery.event_id).where(Delivery.state == DeliveryState.PENDING)
    assert set(db.session.scalars(waiting)) >= set(wanted)
    assert states()["failed"] == 10
