"""Group commit with tokens: each submission gets its own workspace, allowance and refusal."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.conftest import TESTER, Workspace
from tests.events.test_group_commit import EVENT, SECONDS, accepted_of, count, held_back, submit
from tests.failing import failing
from tests.patience import PATIENT_GROUPS
from tests.statements import noted_statements
from tests.waiting import wait_for
from webhooks_app.accounts import api_tokens
from webhooks_app.core import passwords
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, Delivery, Event
from webhooks_app.events.group_commit import GroupCommit
from webhooks_app.events.pending_submission import UnknownToken
from webhooks_app.events.submissions import Submission, SubmissionResult
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring.stored_formats import StoredFormat, StoredFormats


@pytest.fixture
def group_commit(app: Flask) -> GroupCommit:
    return services(app).group_commit


def test_who_is_refused_as_the_database_fails_has_used_nothing_of_the_allowance(
    workspace: Workspace, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_commit = GroupCommit(
        services().databases, wake_ups, limits=PATIENT_GROUPS, default_rate=RateLimit(1, 1)
    )
    token_hash = passwords.hash_token(workspace.token)

    def send() -> SubmissionResult:
        future: Future[SubmissionResult] = Future()
        group_commit.submit(Submission("", [EVENT]), future.set_result, token_hash=token_hash)
        return future.result(SECONDS)

    def fail(_formats: StoredFormats) -> StoredFormat:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    with monkeypatch.context() as patched:
        patched.setattr(StoredFormats, "newest", fail)
        assert isinstance(send(), OperationalError)
    assert not isinstance(send(), Exception)
    group_commit.accept(Submission(workspace.id, [EVENT]))  # by then, the use of the token is recorded


def test_each_token_is_told_of_its_own_workspace_and_an_unknown_one_of_none(
    make_workspace: Callable[[str], Workspace],
    database: WriteDatabase,
    group_commit: GroupCommit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, theirs = make_workspace("Ours"), make_workspace("Theirs")
    ours.endpoint("https://a.example.com/")
    our_token, their_token = (
        api_tokens.create(database, each.id, "app", actor=TESTER) for each in (ours, theirs)
    )
    db.session.rollback()
    hashed = passwords.hash_token(their_token)
    stored = db.session.scalars(select(ApiToken).where(ApiToken.token_hash == hashed)).one()
    futures: list[Future[SubmissionResult]] = [Future() for _ in range(4)]
    with held_back() as commits:
        first = submit(group_commit, Submission(ours.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        for token, future in zip((our_token, their_token, "tok_other", our_token), futures, strict=True):
            group_commit.submit(
                Submission("", [EVENT]), future.set_result, token_hash=passwords.hash_token(token)
            )
        commits.may_go_on.set()
        accepted_of(first[0])
        counts = [accepted_of(futures[number])[0].deliveries for number in (0, 1, 3)]
    assert counts == [1, 0, 1]
    assert isinstance(futures[2].result(SECONDS), UnknownToken)
    wait_for(lambda: _is_used(stored.id))
    api_tokens.revoke(database, stored, actor=TESTER)
    revoked: Future[SubmissionResult] = Future()
    group_commit.submit(Submission("", [EVENT]), revoked.set_result, token_hash=hashed)
    assert isinstance(revoked.result(SECONDS), UnknownToken)
    assert count(Event) == 4
    assert caplog.records == []


def test_where_tokens_and_endpoints_cannot_be_read_the_group_is_told_so_and_the_next_goes_on(
    workspace: Workspace, database: WriteDatabase, group_commit: GroupCommit, caplog: pytest.LogCaptureFixture
) -> None:
    hashed = passwords.hash_token(workspace.token)
    with_token: Future[SubmissionResult] = Future()
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        group_commit.submit(Submission("", [EVENT]), with_token.set_result, token_hash=hashed)
        without = submit(group_commit, Submission(workspace.id, [EVENT]))
        with failing(database, "SELECT token.id"):
            commits.may_go_on.set()
            for future in (with_token, *without):
                assert isinstance(future.result(SECONDS), OperationalError)
        accepted_of(first[0])
    group_commit.accept(Submission(workspace.id, [EVENT]))
    assert count(Event) == 2
    assert caplog.records == []


def test_two_tokens_of_a_workspace_make_one_delivery_for_each_endpoint(
    workspace: Workspace, database: WriteDatabase, group_commit: GroupCommit
) -> None:
    endpoints = [workspace.endpoint("https://a.example.com/") for _ in range(2)]
    tokens = [api_tokens.create(database, workspace.id, name, actor=TESTER) for name in ("one", "two")]
    futures: list[Future[SubmissionResult]] = [Future() for _ in tokens]
    with held_back() as commits:
        first = submit(group_commit, Submission(workspace.id, [EVENT]))
        assert commits.started.wait(SECONDS)
        for token, future in zip(tokens, futures, strict=True):
            hashed = passwords.hash_token(token)
            group_commit.submit(Submission("", [EVENT]), future.set_result, token_hash=hashed)
        commits.may_go_on.set()
        for each in first + futures:
            assert [accepted.deliveries for accepted in accepted_of(each)] == [2]
    db.session.rollback()
    made = db.session.execute(select(Delivery.event_id, Delivery.endpoint_id)).all()
    assert len(made) == len(set(made)) == 6
    assert {each.endpoint_id for each in made} == set(endpoints)


def test_what_a_group_needs_of_a_tokens_allowance_is_taken_at_once(
    workspace: Workspace, database: WriteDatabase, group_commit: GroupCommit
) -> None:
    token = api_tokens.create(database, workspace.id, "slow", rate_per_second=1, burst=30, actor=TESTER)

    def send(events: int) -> Future[SubmissionResult]:
        future: Future[SubmissionResult] = Future()
        submission = Submission("", [EVENT] * events)
        group_commit.submit(submission, future.set_result, token_hash=passwords.hash_token(token))
        return future

    def takes() -> int:
        return sum("UPDATE token_allowances" in each for each in asked)

    with noted_statements() as asked:
        assert len(accepted_of(send(2))) == 2  # of the three that were taken
        assert takes() == 1
        with held_back() as commits:
            first = submit(group_commit, Submission(workspace.id, [EVENT]))
            assert commits.started.wait(SECONDS)
            futures = [send(events) for events in (1, 4, 4)]
            commits.may_go_on.set()
            for future in (*first, *futures):
                accepted_of(future)
    assert takes() == 2


def test_an_event_is_accepted_though_the_use_of_its_token_cannot_be_recorded(
    workspace: Workspace,
    database: WriteDatabase,
    group_commit: GroupCommit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    future: Future[SubmissionResult] = Future()
    hashed = passwords.hash_token(workspace.token)
    with failing(database, "UPDATE api_tokens"):
        group_commit.submit(Submission("", [EVENT]), future.set_result, token_hash=hashed)
        assert len(accepted_of(future)) == 1
        group_commit.accept(Submission(workspace.id, [EVENT]))  # by then, the first one's use was tried
    [record] = caplog.records
    assert (record.message, record.__dict__["cause"]) == ("database_unavailable", "connection")


def _is_used(token_id: str) -> bool:
    db.session.rollback()
    return db.session.scalar(select(ApiToken.last_used_at).where(ApiToken.id == token_id)) is not None
