"""Recovery: what a filter finds is replayed, each once, whatever interrupts it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, text, update

from tests.conftest import TESTER, Workspace, wait_for
from tests.receivers import Receiver
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    AuditEntry,
    Delivery,
    DeliveryState,
    Endpoint,
    PendingDelivery,
    Recovery,
    RecoveryState,
)
from webhooks_app.deliveries import log, recoveries, replays
from webhooks_app.deliveries.log import FilterError, LogFilter, Status
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker.engine import DeliveryEngine

FAILED = LogFilter(status=Status.FAILED)


def states() -> dict[str, int]:
    db.session.rollback()
    return {
        state.value: count
        for state, count in db.session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    }


def read(recovery_id: str) -> Recovery:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Recovery, recovery_id)


def fail_all(database: WriteDatabase, *, outcome: str = "timeout") -> None:
    """As if every pending delivery had used up its schedule."""
    long_ago = clock.now() - timedelta(seconds=5)
    with database.begin() as connection:
        connection.execute(text("DELETE FROM pending_deliveries"))
        connection.execute(
            update(Delivery)
            .where(Delivery.state == DeliveryState.PENDING)
            .values(
                state=DeliveryState.FAILED,
                finished_at=long_ago,
                next_attempt_at=None,
                last_outcome=outcome,
                attempts_in_schedule=10,
                generation=10,
            )
        )


@pytest.fixture
def endpoint_id(workspace: Workspace, receiver: Receiver) -> str:
    return workspace.endpoint(receiver.url)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recoveries, "BATCH", 7)


def start(databases: Databases, wake_ups: WakeUps, workspace: Workspace, wanted: LogFilter = FAILED) -> str:
    return recoveries.start(databases, wake_ups, workspace.id, wanted, actor=TESTER)


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter's end is a whole second, so what was made a moment ago counts only a second later."""
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(seconds=2))


@pytest.mark.usefixtures("small_batches")
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

    recovery_id = start(databases, wake_ups, workspace)
    assert read(recovery_id).total == 30
    assert recoveries.run(databases, wake_ups) == 30
    engine.run(seconds=10)

    assert states() == {"delivered": 30}
    assert len(receiver.received) == len({each.headers["webhook-id"] for each in receiver.received}) == 30
    done = read(recovery_id)
    assert (done.state, done.replayed, done.left_out) == (RecoveryState.DONE, 30, 0)
    assert recoveries.progress(done) == recoveries.Progress(1.0, 30, 30)
    assert not recoveries.is_any_running(databases.read)


@pytest.mark.usefixtures("small_batches")
def test_one_that_was_killed_goes_on_where_it_stood(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(20)
    fail_all(database)
    recovery_id = start(databases, wake_ups, workspace)

    first = recoveries.step(databases, recovery_id)
    half = recoveries.progress(read(recovery_id))
    assert (len(first), half.done, half.share) == (7, 7, 0.35)
    assert recoveries.is_any_running(databases.read)
    assert recoveries.run(databases, wake_ups) == 13
    assert states() == {"pending": 20}


@pytest.mark.usefixtures("small_batches")
def test_several_workers_at_it_replay_nothing_twice(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(60)
    fail_all(database)
    recovery_id = start(databases, wake_ups, workspace)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: recoveries.run(databases, wake_ups), range(4)))

    assert sum(counts) == 60
    assert read(recovery_id).replayed == 60
    assert states() == {"pending": 60}


@pytest.mark.usefixtures("small_batches")
def test_a_canceled_one_stops_and_keeps_what_it_did(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(20)
    fail_all(database)
    recovery_id = start(databases, wake_ups, workspace)
    recoveries.step(databases, recovery_id)

    assert recoveries.cancel(database, read(recovery_id), actor=TESTER)
    assert not recoveries.cancel(database, read(recovery_id), actor=TESTER)
    assert recoveries.run(databases, wake_ups) == 0
    assert states() == {"pending": 7, "failed": 13}
    names = db.session.scalars(select(AuditEntry.action).where(AuditEntry.target == recovery_id)).all()
    assert sorted(names) == ["recovery.cancel", "recovery.start"]


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

    recovery_id = start(databases, wake_ups, workspace)
    recoveries.run(databases, wake_ups)

    done = read(recovery_id)
    assert (done.total, done.replayed, done.left_out) == (12, 4, 8)


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
    recovery_id = start(databases, wake_ups, workspace)
    delivery_id = db.session.scalars(select(Delivery.id).order_by(Delivery.id)).first()
    replays.start(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
    engine.run(seconds=5)
    recoveries.run(databases, wake_ups)
    engine.run(seconds=5)

    assert [each.headers["webhook-id"] for each in receiver.received].count(delivery_id) == 1
    assert read(recovery_id).replayed == 2


def test_it_goes_by_endpoint_response_event_and_time(
    workspace: Workspace,
    receiver: Receiver,
    endpoint_id: str,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
) -> None:
    other = workspace.endpoint(receiver.url, name="other")
    workspace.send(5)
    fail_all(database, outcome="http_5xx")
    now = clock.now()

    def count(**values: object) -> int:
        wanted = LogFilter(**({"status": Status.FAILED} | values))
        return recoveries.preview(db.session(), workspace.id, wanted, now=now).count

    assert count() == 10
    assert count(endpoint=other) == 5
    assert count(response="5xx") == 10
    assert count(response="timeout") == 0
    assert count(event_type="batch-request") == 0
    assert count(range="1h") == 10
    assert count(until=now - timedelta(hours=1)) == 0
    start(databases, wake_ups, workspace, LogFilter(status=Status.FAILED, endpoint=other, response="5xx"))
    assert recoveries.run(databases, wake_ups) == 5
    with pytest.raises(recoveries.NothingToRecover):
        start(databases, wake_ups, workspace, LogFilter(status=Status.FAILED, response="timeout"))


@pytest.mark.parametrize(
    "wanted", [LogFilter(), LogFilter(status=Status.DELIVERED), LogFilter(status=Status.FAILED, q="x")]
)
def test_only_what_failed_or_was_canceled_can_be_recovered(
    wanted: LogFilter, workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    with pytest.raises(FilterError):
        recoveries.start(databases, wake_ups, workspace.id, wanted, actor=TESTER)


def test_what_fails_after_the_start_is_none_of_it(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    fail_all(database)
    recovery_id = start(databases, wake_ups, workspace)
    recoveries.step(databases, recovery_id)
    fail_all(database)  # they failed again
    recoveries.run(databases, wake_ups)
    assert read(recovery_id).replayed == 3
    assert log.parse(read(recovery_id).filter).until is not None


def test_new_events_are_not_kept_waiting_behind_a_recovery(
    workspace: Workspace,
    endpoint_id: str,
    engine: DeliveryEngine,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recoveries, "BATCH", 10)
    monkeypatch.setattr(recoveries, "MOST_DUE", 20)
    monkeypatch.setattr(recoveries, "LONGEST_WAIT_SECONDS", 60)
    workspace.send(50)
    fail_all(database)
    start(databases, wake_ups, workspace)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(recoveries.run, databases, wake_ups)
        wait_for(lambda: states().get("pending") == 20)
        time.sleep(3 * recoveries.LOOK_AGAIN_SECONDS)
        assert states() == {"failed": 30, "pending": 20}
        while not running.done():
            engine.run(seconds=1)
        engine.run(seconds=5)
    assert states() == {"delivered": 50}


def test_progress_of_what_is_too_much_to_count_goes_by_time(
    workspace: Workspace,
    endpoint_id: str,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recoveries, "COUNT_LIMIT", 5)
    monkeypatch.setattr(recoveries, "BATCH", 7)
    workspace.send(20)
    fail_all(database)
    recovery_id = start(databases, wake_ups, workspace, LogFilter(status=Status.FAILED, range="1h"))
    assert recoveries.progress(read(recovery_id)) == recoveries.Progress(0.0, 0, None)
    recoveries.step(databases, recovery_id)
    found = recoveries.progress(read(recovery_id))
    assert (found.done, found.total) == (7, None)
    assert 0.9 < found.share <= 1.0


def test_one_recovery_runs_at_a_time_in_a_workspace(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    fail_all(database)
    first = start(databases, wake_ups, workspace)
    with pytest.raises(recoveries.AlreadyRunning):
        start(databases, wake_ups, workspace)
    recoveries.run(databases, wake_ups)
    fail_all(database)
    assert start(databases, wake_ups, workspace) != first


def test_a_window_of_a_fraction_of_a_second_is_kept_as_it_was(
    workspace: Workspace, endpoint_id: str, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    workspace.send(3)
    fail_all(database)
    made = ids.created_at(db.session.scalars(select(Delivery.id)).first())
    window = LogFilter(
        status=Status.FAILED,
        range="custom",
        since=made - timedelta(milliseconds=100),
        until=made + timedelta(milliseconds=100),
    )
    recovery_id = start(databases, wake_ups, workspace, window)
    assert log.parse(read(recovery_id).filter).since is not None
    assert recoveries.run(databases, wake_ups) == 3


def test_another_workspaces_dead_endpoint_holds_up_nobody(
    make_workspace: Callable[[str], Workspace],
    receiver: Receiver,
    database: WriteDatabase,
    databases: Databases,
    wake_ups: WakeUps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recoveries, "BATCH", 5)
    monkeypatch.setattr(recoveries, "MOST_DUE", 5)
    monkeypatch.setattr(recoveries, "LONGEST_WAIT_SECONDS", 60)
    slow, quick = make_workspace("Slow"), make_workspace("Quick")
    for each in (slow, quick):
        each.endpoint(receiver.url)
        each.send(20)
    fail_all(database)
    for each in (slow, quick):
        start(databases, wake_ups, each)
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
    recoveries.run(databases, wake_ups, should_stop=drain)
    assert time.monotonic() - began < recoveries.LONGEST_WAIT_SECONDS
    assert drained


def test_room_is_looked_for_at_every_endpoint_of_a_batch(
    workspace: Workspace, receiver: Receiver, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    first, second = (workspace.endpoint(receiver.url, name=name) for name in ("a", "b"))
    workspace.send(4)
    fail_all(database)
    replayed = recoveries.step(databases, start(databases, wake_ups, workspace))
    assert set(replayed.values()) == {first, second}
