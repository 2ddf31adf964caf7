"""More deliveries than one transaction inserts: all of them, once each, whoever stops half-way."""

import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from tests.accepting import accept_events
from tests.conftest import TESTER, Workspace
from tests.raising import raising
from tests.waiting import wait_for
from webhooks_app import tasks
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, Event, FanOut
from webhooks_app.endpoints import actions
from webhooks_app.events import accept, fan_out, fan_out_runs
from webhooks_app.events.fan_out import FanOutLimits, Rest
from webhooks_app.events.fan_out_runs import FanOutThread
from webhooks_app.events.group_commit import GroupCommit
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps


@pytest.fixture
def group_commit(app: Flask) -> GroupCommit:
    return services(app).group_commit


pytestmark = pytest.mark.usefixtures("queue_matches_states")

EVENT = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "succeeded"})
LIMITS = FanOutLimits(smallest_piece=4, largest_piece=4, pause_seconds=0, lease_seconds=0)


def made() -> Counter[tuple[str, str]]:
    """How many deliveries there are of each event to each endpoint."""
    db.session.rollback()
    rows = db.session.execute(select(Delivery.event_id, Delivery.endpoint_id))
    return Counter((row.event_id, row.endpoint_id) for row in rows)


def is_any_rest() -> bool:
    db.session.rollback()
    return db.session.scalar(select(FanOut.id).limit(1)) is not None


def endpoints(workspace: Workspace, count: int = 5) -> list[str]:
    return [workspace.endpoint(f"https://{number}.example.com/") for number in range(count)]


def commit_first_piece(
    workspace: Workspace, database: WriteDatabase, count: int = 6, *, limits: FanOutLimits = LIMITS
) -> tuple[list[str], Rest]:
    """What a web process leaves that is killed between its first transaction and the second."""
    rows = accept.event_rows(Submission(workspace.id, [EVENT] * count), clock.now())
    with database.begin() as connection:
        fanned_out = fan_out.fan_out(connection, rows, clock.now(), limits=limits)
    assert fanned_out.rest is not None
    return [row.id for row in rows], fanned_out.rest


def test_all_of_a_batch_is_made_in_several_transactions(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    names = endpoints(workspace)

    accepted = accept_events(database, wake_ups, workspace.id, [EVENT] * 6, limits=LIMITS)

    assert [each.deliveries for each in accepted] == [5] * 6
    assert made() == {(each.id, name): 1 for each in accepted for name in names}
    assert set(db.session.scalars(select(Delivery.is_test))) == {False}
    assert not is_any_rest()


def test_the_sweep_takes_up_what_a_killed_process_left(
    job_app: object, workspace: Workspace, database: WriteDatabase
) -> None:
    names = endpoints(workspace)
    event_ids, _ = commit_first_piece(workspace, database)

    tasks.sweep()

    wait_for(lambda: not is_any_rest())
    assert made() == {(event_id, name): 1 for event_id in event_ids for name in names}


def test_nobody_takes_over_what_is_worked_on(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    endpoints(workspace)
    commit_first_piece(workspace, databases.write, 1, limits=replace(LIMITS, lease_seconds=60))

    assert not fan_out_runs.is_any_left(databases.read, now=clock.now())
    fan_out_runs.run_all(databases, wake_ups, limits=LIMITS)
    assert sum(made().values()) == 4


def test_a_rest_is_taken_over_from_the_moment_on_until_which_it_is_taken(
    workspace: Workspace, databases: Databases
) -> None:
    endpoints(workspace)
    event_ids, _ = commit_first_piece(workspace, databases.write, limits=replace(LIMITS, lease_seconds=60))
    db.session.rollback()
    recorded = db.session.scalars(select(FanOut)).one()
    a_moment = timedelta(microseconds=1)
    assert not fan_out_runs.is_any_left(databases.read, now=recorded.taken_until - a_moment)
    assert fan_out_runs.is_any_left(databases.read, now=recorded.taken_until)
    with databases.read.connect() as connection:
        for before, unfinished in ((recorded.created_at, set()), (recorded.created_at + a_moment, event_ids)):
            found = fan_out_runs.unfinished_events(connection, created_before=before)
            assert found == set(unfinished)


def test_pieces_grow_and_shrink_with_the_time_that_they_take(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = [0.25, 0.75, 0.25, 1.0, 0.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]
    moments = iter([at for number, each in enumerate(took) for at in (10.0 * number, 10.0 * number + each)])
    pauses: list[float] = []
    clocks = SimpleNamespace(monotonic=lambda: next(moments), sleep=pauses.append)
    monkeypatch.setattr(fan_out_runs, "time", clocks)
    limits = FanOutLimits(
        smallest_piece=2, largest_piece=8, piece_seconds=1, pause_seconds=0.2, lease_seconds=0
    )
    endpoints(workspace, 8)
    commit_first_piece(workspace, databases.write, 6, limits=limits)
    positions: list[int] = []

    def note_position() -> bool:
        db.session.rollback()
        rest = db.session.scalars(select(FanOut)).first()
        if rest is not None:
            positions.append(rest.position)
            assert len(positions) < 3 or rest.taken_until > clock.now() + timedelta(seconds=500)
        return False

    working = replace(limits, lease_seconds=1000)
    fan_out_runs.run_all(databases, wake_ups, should_stop=note_position, limits=working)

    assert positions == [2, 2, 4, 8, 12, 20, 28, 36, 40, 42, 44, 46]
    assert (len(made()), is_any_rest()) == (48, False)
    # Others wait for the one write lock of SQLite alone.
    is_sqlite = databases.write.dialect.name == "sqlite"
    assert pauses == [0.2, 0.2, 0.375, 0.2, 0.5, 0.25, *[0.75] * 5] * is_sqlite


@pytest.mark.parametrize("is_enabled", [True, False])
def test_workers_are_woken_for_what_is_due_of_a_rest(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, is_enabled: bool
) -> None:
    names = endpoints(workspace)
    if not is_enabled:
        for name in names:
            actions.disable(database, db.session.get_one(Endpoint, name), actor=TESTER)
    _, rest = commit_first_piece(workspace, database)
    wake_ups.take_request()
    fan_out_runs.insert_rest(database, wake_ups, rest, limits=LIMITS)
    assert (wake_ups.take_request() is not None) is is_enabled


def test_one_whose_rest_another_has_moved_makes_nothing(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    endpoints(workspace)
    _, rest = commit_first_piece(workspace, databases.write)
    stale = replace(rest)
    with databases.write.begin() as connection:
        connection.execute(update(FanOut).values(position=FanOut.position + 4))
    fan_out_runs.insert_rest(databases.write, wake_ups, stale, limits=LIMITS)
    last = replace(rest, position=rest.plan.total() - 1)
    fan_out_runs.insert_rest(databases.write, wake_ups, last, limits=LIMITS)
    assert (sum(made().values()), is_any_rest()) == (4, True)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_it_waits_for_nobody_who_changes_an_event_or_an_endpoint(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    [another] = workspace.send()
    names = endpoints(workspace)
    event_ids, rest = commit_first_piece(workspace, databases.write)
    with databases.write.begin() as connection:
        connection.execute(select(Event.id).where(Event.id == another).with_for_update())
        connection.execute(update(Event).where(Event.id != another).values(indexed_values=None))
        connection.execute(update(Endpoint).values(name="renamed"))
        fan_out_runs.insert_rest(databases.write, wake_ups, rest, limits=LIMITS)
    assert made() == {(event_id, name): 1 for event_id in event_ids for name in names}


def test_each_delivery_is_made_once_however_many_are_at_it(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    names = endpoints(workspace)
    event_ids, rest = commit_first_piece(workspace, databases.write, 20)

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(fan_out_runs.run_all, databases, wake_ups, limits=LIMITS) for _ in range(3)]
        runs.append(pool.submit(fan_out_runs.insert_rest, databases.write, wake_ups, rest, limits=LIMITS))
    for run in runs:
        run.result()
    fan_out_runs.run_all(databases, wake_ups, limits=LIMITS)

    assert made() == {(event_id, name): 1 for event_id in event_ids for name in names}
    assert not is_any_rest()


def test_what_became_of_an_endpoint_meanwhile_holds_for_the_rest(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    enabled, disabled, deleted, gone = endpoints(workspace, 4)
    _, rest = commit_first_piece(workspace, databases.write, 1, limits=replace(LIMITS, smallest_piece=0))
    actions.disable(databases.write, db.session.get_one(Endpoint, disabled), actor=TESTER)
    for each in (deleted, gone):
        actions.remove(databases.write, db.session.get_one(Endpoint, each), actor=TESTER)
    with databases.write.begin() as connection:
        connection.execute(delete(Endpoint).where(Endpoint.id == gone))

    fan_out_runs.insert_rest(databases.write, wake_ups, rest, limits=LIMITS)

    db.session.rollback()
    states = {
        row.endpoint_id: (row.state, row.next_attempt_at is None, row.finished_at is None)
        for row in db.session.scalars(select(Delivery))
    }
    assert states == {
        enabled: (DeliveryState.PENDING, False, True),
        disabled: (DeliveryState.HELD, True, True),
        deleted: (DeliveryState.CANCELED, True, False),
    }


def test_an_event_that_expired_meanwhile_gets_nothing_more(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    names = endpoints(workspace, 4)
    event_ids, rest = commit_first_piece(workspace, databases.write, 3)
    with databases.write.begin() as connection:
        connection.execute(delete(Event).where(Event.id == event_ids[1]))

    fan_out_runs.insert_rest(databases.write, wake_ups, rest, limits=LIMITS)

    assert made() == {(event_id, name): 1 for event_id in (event_ids[0], event_ids[2]) for name in names}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_that_cannot_serve_takes_back_no_acceptance(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps, caplog: pytest.LogCaptureFixture
) -> None:
    names = endpoints(workspace)
    event_ids, rest = commit_first_piece(workspace, databases.write)

    with raising(databases.write, "deliveries", "53100"):
        fan_out_runs.insert_rest(databases.write, wake_ups, rest, limits=LIMITS)
    assert [record.__dict__["cause"] for record in caplog.records] == ["disk_full"]

    fan_out_runs.run_all(databases, wake_ups, limits=LIMITS)
    assert made() == {(event_id, name): 1 for event_id in event_ids for name in names}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_between_two_transactions_others_may_write(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    endpoints(workspace)
    commit_first_piece(workspace, databases.write)
    path, written = db.engine.url.database, 0

    def write() -> bool:
        nonlocal written
        with closing(sqlite3.connect(str(path), timeout=0, isolation_level=None)) as other:
            other.execute("UPDATE workspaces SET name = name")
        written += 1
        return False

    fan_out_runs.run_all(databases, wake_ups, should_stop=write, limits=LIMITS)
    assert written >= 26 // 4
    assert not is_any_rest()


def test_a_repeat_under_a_key_counts_what_is_still_to_come(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    endpoints(workspace)
    submission, left = Submission(workspace.id, [EVENT], "key"), list[Rest]()
    [first], [second] = (
        accept.commit(database, wake_ups, [submission], handle_rest=left.append, limits=LIMITS)
        for _ in range(2)
    )
    assert not isinstance(first, Exception)
    assert first == second
    assert first[0].deliveries == 5
    assert (sum(made().values()), len(left)) == (4, 1)


def test_the_rest_of_one_batch_and_the_next_follow_behind_their_answers(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    names = endpoints(workspace)
    thread = FanOutThread(database, wake_ups)
    event_ids: list[str] = []
    for _ in range(3):
        some, rest = commit_first_piece(workspace, database)
        event_ids += some
        thread.add(rest)

    wait_for(lambda: not is_any_rest())
    assert made() == {(event_id, name): 1 for event_id in event_ids for name in names}


def test_one_thread_is_started_for_several_rests(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints(workspace)
    rests = [commit_first_piece(workspace, database)[1] for _ in "ab"]
    thread, started = FanOutThread(database, wake_ups), list[threading.Thread]()
    with monkeypatch.context() as patched:  # it starts late
        patched.setattr(threading.Thread, "start", lambda each: started.append(each))
        for rest in rests:
            thread.add(rest)
    [late] = started
    late.start()
    wait_for(lambda: not is_any_rest())


def test_a_process_that_ends_does_not_wait_for_a_rest(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    endpoints(workspace)
    _, rest = commit_first_piece(workspace, database)
    before = set(threading.enumerate())
    with database.begin() as connection:
        connection.execute(update(FanOut).values(position=FanOut.position))
        FanOutThread(database, wake_ups).add(rest)
        begun = set(threading.enumerate()) - before
        assert begun and all(each.daemon for each in begun)
    wait_for(lambda: not is_any_rest())


def test_a_batch_that_is_committed_with_others_is_fanned_out_whole(
    workspace: Workspace, group_commit: GroupCommit
) -> None:
    names = endpoints(workspace, 3)

    accepted = group_commit.accept(Submission(workspace.id, [EVENT] * 1000))

    assert {each.deliveries for each in accepted} == {3}
    wait_for(lambda: not is_any_rest())
    assert made() == {(each.id, name): 1 for each in accepted for name in names}


def test_where_no_thread_is_to_be_had_the_next_rest_gets_one(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints(workspace)
    thread, rests = (
        FanOutThread(database, wake_ups),
        [commit_first_piece(workspace, database)[1] for _ in "ab"],
    )

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        thread.add(rests[0])
    thread.add(rests[1])
    wait_for(lambda: not thread._is_running)
    with database.begin() as connection:
        assert connection.scalars(select(FanOut.id)).all() == [rests[0].id]  # which a worker takes over
