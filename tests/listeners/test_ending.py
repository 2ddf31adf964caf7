"""Listeners end at a moment, their token's included."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from tests.listeners.listening import begin, listener
from tests.listeners.test_lock_order import is_somebody_waiting
from tests.waiting import wait_for
from tests.web.endpoints import load
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import ApiToken, AuditEntry, Listener
from webhooks_app.extensions import db
from webhooks_app.listeners import ending


def test_it_ends_at_the_moment_until_which_it_was_to_be_heard_of(
    workspace: Workspace, databases: Databases
) -> None:
    session = begin(workspace)
    ends_at = listener(session.endpoint_id).ends_at
    assert ending.end_expired(databases, now=ends_at - timedelta(microseconds=1)) == 0
    assert load(session.endpoint_id).deleted_at is None
    assert ending.end_expired(databases, now=ends_at) == 1
    assert load(session.endpoint_id).deleted_at == ends_at


@pytest.mark.parametrize(
    ("column", "is_over"), [("revoked_at", True), ("expires_at", True), ("last_used_at", False)]
)
def test_it_ends_with_its_token(
    workspace: Workspace, databases: Databases, column: str, is_over: bool
) -> None:
    session, now = begin(workspace), clock.now()
    with databases.write.begin() as connection:
        connection.execute(update(ApiToken).values({column: now}))
    assert ending.end_expired(databases, now=now) == int(is_over)
    assert (load(session.endpoint_id).deleted_at is not None) is is_over


def test_the_end_of_one_is_said_and_leaves_the_others(workspace: Workspace, databases: Databases) -> None:
    first, other = begin(workspace), begin(workspace, name="other")
    workspace.send(2)

    assert ending.end(databases.write, first.endpoint_id, actor=TESTER) == 2
    assert ending.end(databases.write, first.endpoint_id, actor=TESTER) is None

    assert load(other.endpoint_id).deleted_at is None
    entries = select(AuditEntry.target, AuditEntry.actor, AuditEntry.details)
    [(target, actor, details)] = db.session.execute(entries.where(AuditEntry.action == "listener.end"))
    assert (target, actor) == (first.endpoint_id, TESTER.name)
    assert '"asked for"' in details


def test_what_is_no_listener_is_not_ended(workspace: Workspace, databases: Databases) -> None:
    endpoint = workspace.endpoint("https://a.example.com/")
    workspace.send()
    assert ending.end(databases.write, endpoint, actor=TESTER) is None
    assert load(endpoint).is_enabled


def test_one_that_was_heard_of_meanwhile_stays_though_another_is_over(
    workspace: Workspace, databases: Databases
) -> None:
    heard, silent = (begin(workspace, name=name).endpoint_id for name in ("heard", "silent"))
    now = listener(silent).ends_at
    with databases.write.begin() as connection:
        later = update(Listener).where(Listener.endpoint_id == heard)
        connection.execute(later.values(ends_at=now + timedelta(seconds=1)))
    assert ending._end_if_over(databases.write, heard, now) is False
    assert load(heard).deleted_at is None
    assert ending._end_if_over(databases.write, silent, now) is True


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_one_that_is_heard_of_while_it_is_being_ended_stays(
    workspace: Workspace, databases: Databases
) -> None:
    session = begin(workspace)
    ends_at = listener(session.endpoint_id).ends_at
    db.session.rollback()
    with ThreadPoolExecutor(1) as pool:
        with databases.write.begin() as connection:
            connection.execute(update(Listener).values(ends_at=ends_at + timedelta(minutes=1)))
            ending_it = pool.submit(ending.end_expired, databases, now=ends_at)
            wait_for(lambda: is_somebody_waiting(databases))
        assert ending_it.result(30) == 0
    assert load(session.endpoint_id).deleted_at is None
