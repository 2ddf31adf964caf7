"""Group commit: what waits is committed together, and each is told what became of its own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import pytest
from flask import Flask
from sqlalchemy import Connection, event, func, select
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.conftest import Workspace
from tests.patience import PATIENT_GROUPS, PATIENT_WAKE_LIMITS
from tests.waiting import wait_for
from webhooks_app.db import deadlines
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, Event, PendingDelivery
from webhooks_app.events.group_commit import GroupCommit, GroupLimits
from webhooks_app.events.submissions import Accepted, KeyReused, NewEvent, Submission, SubmissionResult
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.counters import ProcessCounters

SECONDS = 30
EVENT = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "queued"})
OTHER = NewEvent.of("batch-lifecycle", {"batch_id": "b2", "status": "queued"})
# PostgreSQL takes no NUL in a text, and SQLite no lone surrogate; none of either comes this far from outside.
REFUSED = NewEvent("batch\0lifecycle\ud800", {}, b"{}")


class Commits:
    """Counts the commits of the application's engine, and can have the first of them wait."""

    def __init__(self) -> None:
        self.count = 0
        self.started, self.may_go_on = threading.Event(), threading.Event()

    def note(self, _connection: Connection) -> None:
        self.count += 1
        self.started.set()
        assert self.may_go_on.wait(SECONDS)


@contextmanager
def held_back() -> Iterator[Commits]:
    commits = Commits()
    event.listen(db.engine, "commit", commits.note)
    try:
        yield commits
    finally:
        commits.may_go_on.set()
        event.remove(db.engine, "commit", commits.note)


@pytest.fixture
def group_commit(app: Flask) -> GroupCommit:
    return services(app).group_commit


def submit(group_commit: GroupCommit, *submissions: Submission) -> list[Future[SubmissionResult]]:
    futures: list[Future[SubmissionResult]] = [Future() for _ in submissions]
    for submission, future in zip(submissions, futures, strict=True):
        group_commit.submit(submission, future.set_result)
    return futures


def accepted_of(future: Future[SubmissionResult]) -> list[Accepted]:
    outcome = future.result(SECONDS)
    assert not isinstance(outcome, Exception), outcome
    return list(outcome)


def count(model: type[Event] | type[Delivery] | type[PendingDelivery]) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_a_lone_submission_is_committed_at_once(
    workspace: Workspace, group_commit: GroupCommit, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.endpoint("https://a.example.com/")
    [accepted] = group_commit.accept(Submission(workspace.id, [EVENT]))
    assert accepted.deliveries == 1
    assert count(PendingDelivery) == 1
    group_commit.accept(Submission(workspace.id, [EVENT]))  # by then, nothing is left to be done of the first
    assert caplog.records == []


def test_what_comes_during_a_commit_shares_the_next_across_workspaces(
    make_workspace: Callable[[str], Workspace], group_commit: GroupCommit
) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    for _ in range(2):
        ours.endpoint("https://a.example.com/")
    with held_back() as commits:
        first = submit(group_commit, Submission(ours.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        rest = submit(
            group_commit, *(Submission(each.id, [EVENT]) for each in (ours, theirs) for _ in range(10))
        )
        commits.may_go_on.set()
        outcomes = [accepted_of(future)[0] for future in first + rest]
    assert commits.count == 2
    assert [each.deliveries for each in outcomes] == [2] * 11 + [0] * 10
    assert len({each.id for each in outcomes}) == count(Event) == 21
    assert count(PendingDelivery) == 22


def test_a_conflict_of_idempotency_keys_is_its_submissions_own(
    workspace: Workspace, group_commit: GroupCommit
) -> None:
    [before] = group_commit.accept(Submission(workspace.id, [EVENT], "used"))
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        same, other, new, twin, stranger, plain = submit(
            group_commit,
            Submission(workspace.id, [EVENT], "used"),
            Submission(workspace.id, [OTHER], "used"),
            Submission(workspace.id, [EVENT], "new"),
            Submission(workspace.id, [EVENT], "new"),
            Submission(workspace.id, [OTHER], "new"),
            Submission(workspace.id, [OTHER]),
        )
        commits.may_go_on.set()
        assert accepted_of(same) == [before]
        assert accepted_of(new) == accepted_of(twin)
        assert isinstance(other.result(SECONDS), KeyReused)
        assert isinstance(stranger.result(SECONDS), KeyReused)
        assert len({accepted_of(each)[0].id for each in (*first, plain, new)}) == 3
    assert commits.count == 2
    assert count(Event) == 4


def test_what_the_database_refuses_harms_no_other(workspace: Workspace, group_commit: GroupCommit) -> None:
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        good, bad, batch = submit(
            group_commit,
            Submission(workspace.id, [EVENT]),
            Submission(workspace.id, [EVENT, REFUSED]),
            Submission(workspace.id, [EVENT, OTHER]),
        )
        commits.may_go_on.set()
        assert len(accepted_of(good)) == 1
        assert isinstance(bad.result(SECONDS), (DBAPIError, UnicodeError))
        assert len(accepted_of(batch)) == 2
        accepted_of(first[0])
    assert count(Event) == 4


def test_a_group_has_a_limit_and_a_batch_over_it_goes_alone(workspace: Workspace, wake_ups: WakeUps) -> None:
    group_commit = GroupCommit(services().databases, wake_ups, limits=replace(PATIENT_GROUPS, events=10))
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        sizes = [4, 6, 4, 30, 1]
        rest = submit(group_commit, *(Submission(workspace.id, [EVENT] * size) for size in sizes))
        commits.may_go_on.set()
        assert [len(accepted_of(future)) for future in first + rest] == [1, *sizes]
    assert commits.count == 1 + 4  # 4 + 6, 4, 30, 1


def test_an_error_of_the_database_is_told_to_each_of_the_group_and_the_next_goes_on(
    workspace: Workspace, database: WriteDatabase, group_commit: GroupCommit
) -> None:
    def fail(_connection: Connection) -> None:
        raise OperationalError("BEGIN", None, database.dialect.loaded_dbapi.OperationalError("no answer"))

    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        rest = submit(group_commit, *(Submission(workspace.id, [EVENT]) for _ in range(3)))
        event.listen(db.engine, "begin", fail)
        commits.may_go_on.set()
        outcomes = [future.result(SECONDS) for future in rest]
        event.remove(db.engine, "begin", fail)
        accepted_of(first[0])
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert len(group_commit.accept(Submission(workspace.id, [EVENT]))) == 1


@pytest.mark.parametrize(
    ("where", "late_seconds", "tries"), [("begin", 0.0, 1), ("commit", 0.0, 1), ("commit", 1000.0, 2)]
)
def test_who_has_waited_behind_a_database_that_fails_is_told_without_another_try(
    workspace: Workspace,
    database: WriteDatabase,
    wake_ups: WakeUps,
    where: str,
    late_seconds: float,
    tries: int,
) -> None:
    limits = replace(PATIENT_GROUPS, late_seconds=late_seconds)
    group_commit = GroupCommit(services().databases, wake_ups, limits=limits)
    tried, is_tried, may_fail = [0], threading.Event(), threading.Event()

    def fail(_connection: Connection) -> None:
        tried[0] += 1
        is_tried.set()
        assert may_fail.wait(SECONDS)
        raise OperationalError("", None, database.dialect.loaded_dbapi.OperationalError("no answer"))

    event.listen(db.engine, where, fail)
    try:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert is_tried.wait(SECONDS)
        rest = submit(group_commit, *(Submission(workspace.id, [EVENT]) for _ in range(3)))
        may_fail.set()
        outcomes = [future.result(SECONDS) for future in (*first, *rest)]
    finally:
        may_fail.set()
        event.remove(db.engine, where, fail)

    assert all(isinstance(outcome, OperationalError) for outcome in outcomes)
    assert tried == [tries]


def test_who_has_waited_behind_a_refusal_is_accepted_all_the_same(
    workspace: Workspace, wake_ups: WakeUps
) -> None:
    limits = replace(PATIENT_GROUPS, events=1, late_seconds=0.0)
    group_commit = GroupCommit(services().databases, wake_ups, limits=limits)
    group_commit.accept(Submission(workspace.id, [EVENT], "used"))
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        refused, behind = submit(
            group_commit, Submission(workspace.id, [OTHER], "used"), Submission(workspace.id, [OTHER])
        )
        commits.may_go_on.set()
        assert isinstance(refused.result(SECONDS), KeyReused)
        for future in (*first, behind):
            assert len(accepted_of(future)) == 1


@contextmanager
def times_left() -> Iterator[list[float]]:
    """The seconds that each transaction has when it begins."""
    found: list[float] = []

    def note(_connection: Connection) -> None:
        left = deadlines.remaining()
        found.append(-1.0 if left is None else left)

    event.listen(db.engine, "begin", note)
    try:
        yield found
    finally:
        event.remove(db.engine, "begin", note)


def test_statements_have_what_is_left_to_the_one_that_waits_longest(
    workspace: Workspace, wake_ups: WakeUps
) -> None:
    limits = GroupLimits(answer_seconds=1000, least_seconds=100)
    group_commit = GroupCommit(services().databases, wake_ups, limits=limits)
    with times_left() as alone:
        group_commit.accept(Submission(workspace.id, [EVENT]))
    assert all(500 < each <= 1000 for each in alone)
    with held_back() as commits, times_left() as found:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        begun = len(found)
        with deadlines.within(300):
            hurried = submit(group_commit, Submission(workspace.id, [EVENT]))
        patient = submit(group_commit, Submission(workspace.id, [EVENT]))
        commits.may_go_on.set()
        for future in (*first, *hurried, *patient):
            accepted_of(future)
    assert found[begun:]
    assert all(100 < each <= 300 for each in found[begun:])


def test_statements_have_a_little_time_though_the_one_that_waits_longest_has_none(
    workspace: Workspace, wake_ups: WakeUps
) -> None:
    limits = GroupLimits(answer_seconds=100, least_seconds=200)
    group_commit = GroupCommit(services().databases, wake_ups, limits=limits)
    with times_left() as found, deadlines.within(0):
        [accepted] = accepted_of(submit(group_commit, Submission(workspace.id, [EVENT]))[0])
    assert accepted.id
    assert all(100 < each <= 200 for each in found)


def test_statements_have_no_longer_than_that_little_then(workspace: Workspace, wake_ups: WakeUps) -> None:
    """Whether it is enough is another matter."""
    group_commit = GroupCommit(services().databases, wake_ups, limits=GroupLimits(least_seconds=0.5))
    with times_left() as found, deadlines.within(0):
        submit(group_commit, Submission(workspace.id, [EVENT]))[0].result(SECONDS)
    assert found
    assert all(each <= 0.5 for each in found)  # of which a busy machine leaves less than nothing


def test_what_is_accepted_is_counted(workspace: Workspace, wake_ups: WakeUps) -> None:
    counters = ProcessCounters()
    group_commit = GroupCommit(services().databases, wake_ups, limits=PATIENT_GROUPS, counters=counters)
    group_commit.accept(Submission(workspace.id, [EVENT, OTHER]))
    wait_for(lambda: bool(counters.snapshot()))
    assert counters.snapshot()["events\tbatch-lifecycle\taccepted"] == 2


def test_an_error_that_nobody_foresaw_is_told_and_the_next_goes_on(
    workspace: Workspace, group_commit: GroupCommit
) -> None:
    def fail(_connection: Connection) -> None:
        raise RuntimeError("unforeseen")

    event.listen(db.engine, "begin", fail)
    try:
        with pytest.raises(RuntimeError):
            group_commit.accept(Submission(workspace.id, [EVENT]))
        future: Future[SubmissionResult] = Future()
        group_commit.submit(Submission("", [EVENT]), future.set_result, token_hash="hash")
        assert isinstance(future.result(SECONDS), RuntimeError)
    finally:
        event.remove(db.engine, "begin", fail)
    assert len(group_commit.accept(Submission(workspace.id, [EVENT]))) == 1


class FailingWakeUps(WakeUps):
    """Wake-ups of which nobody foresaw how they fail."""

    def wake_worker(self, *_: object, **__: object) -> bool:
        raise RuntimeError("unforeseen")


def test_what_is_committed_is_accepted_once_whatever_becomes_of_its_wake_up(
    workspace: Workspace, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    workspace.endpoint("https://a.example.com/")
    group_commit = GroupCommit(services().databases, FailingWakeUps(redis_url, limits=PATIENT_WAKE_LIMITS))
    with held_back() as commits:
        alone = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        together = submit(group_commit, *[Submission(workspace.id, [EVENT])] * 2)
        commits.may_go_on.set()
        assert len({accepted_of(each)[0].id for each in (*alone, *together)}) == 3
    assert (count(Event), count(Delivery)) == (3, 3)
    assert {each.message for each in caplog.records} == {"wake_up_failed"}


def test_where_no_thread_is_to_be_had_the_next_submission_tries_again(
    workspace: Workspace, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_commit = GroupCommit(services().databases, wake_ups, limits=PATIENT_GROUPS)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        [refused] = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert isinstance(refused.result(SECONDS), RuntimeError)
    for _ in range(2):
        assert len(accepted_of(submit(group_commit, Submission(workspace.id, [EVENT]))[0])) == 1
    assert count(Event) == 2


def test_many_threads_that_submit_at_once_each_get_their_own(
    workspace: Workspace, group_commit: GroupCommit
) -> None:
    def run(number: int) -> list[str]:
        own = NewEvent.of("batch-lifecycle", {"batch_id": str(number), "status": "queued"})
        return [group_commit.accept(Submission(workspace.id, [own]))[0].id for _ in range(20)]

    with ThreadPoolExecutor(16) as pool:
        accepted = list(pool.map(run, range(16)))
    db.session.rollback()
    bodies: dict[str, bytes] = {row.id: row.body for row in db.session.execute(select(Event.id, Event.body))}
    assert len(bodies) == 16 * 20
    for number, ids in enumerate(accepted):
        assert all(b'"batch_id":"%d"' % number in bodies[each] for each in ids)


def test_an_error_outside_of_the_database_is_told_to_whom_it_concerns_alone(
    workspace: Workspace, group_commit: GroupCommit
) -> None:
    unhashable = cast(str, ["hash"])
    futures: list[Future[SubmissionResult]] = [Future() for _ in range(2)]
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        for future, token_hash in zip(futures, (unhashable, None), strict=True):
            submission = Submission(workspace.id, [EVENT])
            group_commit.submit(submission, future.set_result, token_hash=token_hash)
        commits.may_go_on.set()
        accepted_of(first[0])
    assert isinstance(futures[0].result(SECONDS), TypeError)
    assert len(accepted_of(futures[1])) == 1
    assert len(group_commit.accept(Submission(workspace.id, [EVENT]))) == 1
