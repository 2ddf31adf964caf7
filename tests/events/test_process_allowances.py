"""Rate limits of API tokens: several processes together, what they cost, what is said when one is reached."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection, delete, event, select
from sqlalchemy.exc import OperationalError

from tests.conftest import TESTER, Workspace
from tests.events.token_clock import TokenClock, hand_in
from tests.failing import failing
from tests.patience import PATIENT_GROUPS
from tests.waiting import wait_for
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.core import passwords
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import ApiToken, Event, TokenAllowance
from webhooks_app.events.group_commit import GroupCommit
from webhooks_app.events.process_allowances import LargerThanBurst, ProcessAllowances, RateLimited
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

# So slow that nothing comes back while a test runs.
SLOW = RateLimit(1, 30)
EVENT = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "queued"})


def new_token(databases: Databases, workspace: Workspace, limit: RateLimit | None) -> LiveToken:
    rate, burst = (limit.per_second, limit.burst) if limit else (None, None)
    token = api_tokens.create(
        databases.write, workspace.id, "limited", rate_per_second=rate, burst=burst, actor=TESTER
    )
    with databases.read.connect() as connection:
        [found] = api_tokens.find(connection, [passwords.hash_token(token)]).values()
    assert found.limit == limit
    return found


def admitted(limits: ProcessAllowances, token: LiveToken, count: int = 1, *, soon: int = 1) -> bool:
    try:
        limits.admit(token, count, soon=soon)
    except RateLimited:
        return False
    return True


@pytest.fixture
def token_clock(monkeypatch: pytest.MonkeyPatch) -> TokenClock:
    return hand_in(monkeypatch)


@contextmanager
def counted_commits() -> Iterator[list[object]]:
    commits: list[object] = []

    def note(_connection: Connection) -> None:
        commits.append(1)

    event.listen(db.engine, "commit", note)
    try:
        yield commits
    finally:
        event.remove(db.engine, "commit", note)


@contextmanager
def second_commit_failing(database: WriteDatabase) -> Iterator[None]:
    """Have the database not serve the commit of the events, which comes behind that of the allowance."""
    commits = 0

    def fail(_connection: Connection) -> None:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise OperationalError(
                "COMMIT", None, database.dialect.loaded_dbapi.OperationalError("no answer")
            )

    event.listen(db.engine, "commit", fail)
    try:
        yield
    finally:
        event.remove(db.engine, "commit", fail)


def test_processes_share_one_allowance(workspace: Workspace, databases: Databases) -> None:
    token = new_token(databases, workspace, SLOW)
    processes = [ProcessAllowances(databases.write) for _ in range(3)]
    began = time.monotonic()
    through = sum(admitted(each, token) for _ in range(40) for each in processes)
    passed = time.monotonic() - began
    held = 3 * (SLOW.burst // 10)  # what each may hold and not use
    assert SLOW.burst - held <= through <= SLOW.burst + passed * SLOW.per_second + 1


@pytest.mark.usefixtures("token_clock")
def test_a_slice_costs_one_transaction_and_a_refusal_none(workspace: Workspace, databases: Databases) -> None:
    token, limits = new_token(databases, workspace, RateLimit(1, 1000)), ProcessAllowances(databases.write)
    db.session.rollback()
    slow = ProcessAllowances(databases.write)
    with counted_commits() as commits:
        assert all(admitted(limits, token, soon=200) for _ in range(200))
        assert len(commits) == 1
        assert admitted(limits, token, 800)
        # A process that knows nothing yet asks; what is refused at last is more than the burst.
        assert not all(admitted(slow, token) for _ in range(1001))
        before = len(commits)
        assert not any(admitted(slow, token, 5) for _ in range(50))
        assert len(commits) == before


def test_what_is_far_over_its_limit_costs_ten_transactions_a_second_and_gets_what_it_may(
    workspace: Workspace, databases: Databases, token_clock: TokenClock
) -> None:
    limit = RateLimit(200, 200)
    token, limits = new_token(databases, workspace, limit), ProcessAllowances(databases.write)
    assert admitted(limits, token, 200)
    db.session.rollback()
    with counted_commits() as commits:
        through = 0
        while token_clock.seconds < 1.5:
            token_clock.seconds += 0.0005
            through += admitted(limits, token)
    # Of what came back, the last slice may not have been asked for.
    assert limit.per_second * 1.4 <= through <= limit.per_second * token_clock.seconds
    assert 14 <= len(commits) <= 17


@pytest.mark.parametrize(
    ("rate", "burst"), [(100, 100), (100, 10), (100, 5), (1000, 100), (1000, 50), (1000, 10)]
)
def test_a_small_burst_takes_nothing_of_the_rate(
    workspace: Workspace, databases: Databases, token_clock: TokenClock, rate: int, burst: int
) -> None:
    """The clock goes on by a little less than an event takes to come back."""
    token, limits = (
        new_token(databases, workspace, RateLimit(rate, burst)),
        ProcessAllowances(databases.write),
    )
    step = 0.9 / rate
    through, count = 0, rate // 2
    for _ in range(count):
        token_clock.seconds += step
        through += admitted(limits, token)
    assert through >= 0.9 * min(count, burst + count * step * rate)


@pytest.mark.parametrize(
    ("rate", "burst", "early", "late"),
    [
        (100, 1000, 0.099, 0.1),  # ten times a second
        (100, 4, 0.019, 0.02),  # twice while all of it comes back
        (1000, 10, 0.009, 0.01),  # a hundred times a second
    ],
)
def test_the_database_is_asked_so_often_for_what_has_come_back(
    workspace: Workspace,
    databases: Databases,
    token_clock: TokenClock,
    rate: int,
    burst: int,
    early: float,
    late: float,
) -> None:
    token, limits = (
        new_token(databases, workspace, RateLimit(rate, burst)),
        ProcessAllowances(databases.write),
    )
    assert admitted(limits, token, burst)
    db.session.rollback()
    with counted_commits() as commits:
        token_clock.seconds = early
        assert not admitted(limits, token)
        assert commits == []
        token_clock.seconds = late
        assert admitted(limits, token)
        assert len(commits) == 1


def test_what_is_shown_comes_back_with_time_up_to_the_burst(
    workspace: Workspace, databases: Databases, token_clock: TokenClock
) -> None:
    token, limits = new_token(databases, workspace, RateLimit(10, 100)), ProcessAllowances(databases.write)
    token_clock.seconds = 7.0
    limits.admit(token, 100, soon=100)
    token_clock.seconds = 11.0
    with pytest.raises(RateLimited) as refused:
        limits.admit(token, 60, soon=60)
    assert (refused.value.allowance.left, refused.value.allowance.seconds) == (40, 2)
    limits.admit(token, 40, soon=40)
    token_clock.seconds = 1000.0
    limits.give_back(token, 5)
    shown = limits.allowance_of(token.token_hash)
    assert shown is not None and (shown.left, shown.seconds) == (100, 0)


def test_without_a_limit_nothing_is_asked_nor_said(workspace: Workspace, databases: Databases) -> None:
    token, limits = new_token(databases, workspace, None), ProcessAllowances(databases.write)
    db.session.rollback()
    with counted_commits() as commits:
        assert all(admitted(limits, token, 1000) for _ in range(50))
    assert commits == []
    assert limits.allowance_of(token.token_hash) is None


@pytest.mark.usefixtures("token_clock")
def test_the_default_holds_for_tokens_without_a_limit_of_their_own(
    workspace: Workspace, databases: Databases
) -> None:
    limits = ProcessAllowances(databases.write, RateLimit(1, 2))
    own, none = new_token(databases, workspace, SLOW), new_token(databases, workspace, None)
    assert admitted(limits, own, 20)
    with pytest.raises(LargerThanBurst):
        limits.admit(none, 3, soon=3)


def test_who_is_refused_learns_when_to_come_again(
    workspace: Workspace, databases: Databases, token_clock: TokenClock
) -> None:
    token, limits = new_token(databases, workspace, RateLimit(2, 20)), ProcessAllowances(databases.write)
    limits.admit(token, 20, soon=20)
    spent = limits.allowance_of(token.token_hash)
    assert spent is not None and (spent.left, spent.seconds) == (0, 10)
    with pytest.raises(RateLimited) as refused:
        limits.admit(token, 20, soon=20)
    assert refused.value.allowance.limit == RateLimit(2, 20)
    assert 9 <= refused.value.allowance.seconds <= 10
    with pytest.raises(RateLimited) as refused:
        limits.admit(token, 4, soon=4)
    assert refused.value.allowance.seconds <= 2
    token_clock.seconds += refused.value.allowance.seconds
    limits.admit(token, 4, soon=4)


def test_who_is_refused_until_the_database_is_asked_again_has_less_than_they_asked_for(
    workspace: Workspace, databases: Databases, token_clock: TokenClock
) -> None:
    """What has come back meanwhile would do."""
    token, limits = new_token(databases, workspace, RateLimit(100, 1000)), ProcessAllowances(databases.write)
    limits.admit(token, 1000, soon=1000)
    token_clock.seconds = 0.05
    with pytest.raises(RateLimited) as refused:
        limits.admit(token, 3, soon=3)
    assert (refused.value.allowance.left, refused.value.allowance.seconds) == (2, 1)


@pytest.mark.usefixtures("token_clock")
def test_what_a_process_holds_is_used_before_more_is_taken(
    workspace: Workspace, databases: Databases
) -> None:
    token, limits = new_token(databases, workspace, RateLimit(10, 1000)), ProcessAllowances(databases.write)
    db.session.rollback()
    with counted_commits() as commits:
        assert admitted(limits, token)
        assert admitted(limits, token, 150)  # of which 99 are in hand
        assert len(commits) == 2
        assert admitted(limits, token, 849)
    assert not admitted(limits, token)


@pytest.mark.usefixtures("token_clock")
def test_for_what_comes_soon_no_more_is_taken_than_is_not_in_hand(
    workspace: Workspace, databases: Databases
) -> None:
    token, limits = new_token(databases, workspace, RateLimit(1, 1000)), ProcessAllowances(databases.write)
    assert admitted(limits, token, 50, soon=100)
    assert admitted(limits, token, 60, soon=200)
    db.session.rollback()
    with counted_commits() as commits:
        assert admitted(limits, token, 140)
        assert commits == []
        assert admitted(limits, token)
        assert len(commits) == 1


@pytest.mark.usefixtures("token_clock")
def test_of_a_token_that_has_no_limit_any_more_nothing_is_said(
    workspace: Workspace, databases: Databases
) -> None:
    token, limits = new_token(databases, workspace, SLOW), ProcessAllowances(databases.write)
    assert admitted(limits, token)
    assert limits.allowance_of(token.token_hash) is not None
    assert admitted(limits, replace(token, limit=None))
    assert limits.allowance_of(token.token_hash) is None


@pytest.mark.usefixtures("token_clock")
@pytest.mark.parametrize(("burst", "held"), [(1000, 199), (50, 50)])
def test_what_a_process_holds_stays_when_the_limit_changes_up_to_the_new_burst(
    workspace: Workspace, databases: Databases, burst: int, held: int
) -> None:
    token, limits = new_token(databases, workspace, RateLimit(1, 900)), ProcessAllowances(databases.write)
    assert admitted(limits, token, soon=200)
    db.session.rollback()
    changed = replace(token, limit=RateLimit(1, burst))
    with counted_commits() as commits:
        assert admitted(limits, changed, held)
        assert commits == []
        admitted(limits, changed)
        assert len(commits) == 1


@pytest.mark.usefixtures("token_clock")
def test_a_batch_that_was_refused_does_not_use_up_what_smaller_ones_may_have(
    workspace: Workspace, databases: Databases
) -> None:
    token, limits = new_token(databases, workspace, SLOW), ProcessAllowances(databases.write)
    assert admitted(limits, token, 20)
    assert not admitted(limits, token, 25, soon=35)
    assert admitted(limits, token, 10)


def test_a_changed_limit_holds_at_once(
    workspace: Workspace, databases: Databases, token_clock: TokenClock
) -> None:
    token, limits = new_token(databases, workspace, RateLimit(1, 5)), ProcessAllowances(databases.write)
    assert admitted(limits, token, 5)
    assert not admitted(limits, token, 5)
    row = db.session.get_one(ApiToken, token.id)
    api_tokens.change_limit(databases.write, row, rate_per_second=100_000, burst=None, actor=TESTER)
    with databases.read.connect() as connection:
        [token] = api_tokens.find(connection, [token.token_hash]).values()
    token_clock.seconds += 1
    assert admitted(limits, token, 500)


@pytest.mark.usefixtures("token_clock")
def test_what_the_database_did_not_take_is_given_back(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    token = new_token(databases, workspace, SLOW)
    group_commit = GroupCommit(databases, wake_ups, limits=PATIENT_GROUPS)
    submission = Submission(workspace.id, [EVENT] * 30, batch_key="b1")  # which takes more than a statement
    with second_commit_failing(databases.write), pytest.raises(OperationalError):
        group_commit.accept(submission, token=token)
    assert len(group_commit.accept(submission, token=token)) == 30
    with pytest.raises(RateLimited):
        group_commit.accept(submission, token=token)
    db.session.rollback()
    assert len(db.session.scalars(select(Event.id)).all()) == 30


@pytest.mark.usefixtures("token_clock")
def test_when_a_token_was_refused_last_is_recorded(
    workspace: Workspace, databases: Databases, wake_ups: WakeUps
) -> None:
    token = new_token(databases, workspace, RateLimit(1, 2))
    group_commit = GroupCommit(databases, wake_ups, limits=PATIENT_GROUPS)
    submission = Submission(workspace.id, [EVENT] * 2)
    group_commit.accept(submission, token=token)
    with pytest.raises(RateLimited):
        group_commit.accept(submission, token=token)

    def refused_at() -> object:
        db.session.rollback()
        return db.session.scalar(select(TokenAllowance.refused_at))

    wait_for(refused_at)


def test_of_several_refusals_within_a_minute_the_first_is_recorded(
    workspace: Workspace, databases: Databases, token_clock: TokenClock
) -> None:
    token, limits = new_token(databases, workspace, SLOW), ProcessAllowances(databases.write)
    limits.record_refusal(token)  # which this process has not heard of
    assert admitted(limits, token)
    db.session.rollback()
    with counted_commits() as commits:
        for seconds, recorded in ((0.0, 1), (59.9, 1), (60.0, 2), (119.9, 2)):
            token_clock.seconds = seconds
            limits.record_refusal(token)
            assert len(commits) == recorded


def test_a_refusal_that_cannot_be_recorded_is_logged(
    workspace: Workspace, databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    token, limits = new_token(databases, workspace, SLOW), ProcessAllowances(databases.write)
    assert admitted(limits, token)
    db.session.rollback()
    with failing(databases.write, "UPDATE token_allowances"):
        limits.record_refusal(token)
    assert caplog.messages == ["database_unavailable"]


@pytest.mark.usefixtures("token_clock")
def test_a_lost_allowance_is_a_full_one(workspace: Workspace, databases: Databases) -> None:
    token = new_token(databases, workspace, SLOW)
    assert admitted(ProcessAllowances(databases.write), token, 30)
    with databases.write.begin() as connection:
        connection.execute(delete(TokenAllowance))
    assert admitted(ProcessAllowances(databases.write), token, 30)
