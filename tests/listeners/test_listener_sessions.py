"""Listeners begin and stay, and there are so many."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.conftest import TESTER, Workspace
from tests.listeners.listening import begin, claim, listener
from tests.web.endpoints import load
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import AuditEntry, Listener, PendingDelivery, SigningSecret, Subscription
from webhooks_app.extensions import db
from webhooks_app.listeners import ending, listener_sessions
from webhooks_app.listeners.listener_limits import ListenerLimits, TooManyListeners

LIMITS = ListenerLimits(live=2, names=3, kept_for=timedelta(minutes=10), renewed_within=timedelta(seconds=30))


def test_it_is_an_endpoint_to_which_nothing_could_be_sent(workspace: Workspace) -> None:
    session = begin(workspace, timeout_ms=7000)
    endpoint = load(session.endpoint_id)
    assert (endpoint.name, endpoint.url) == ("Listener laptop", "https://laptop.listener.invalid/")
    assert (endpoint.timeout_ms, endpoint.all_events, endpoint.is_enabled) == (7000, True, True)
    assert (endpoint.is_listener, endpoint.health.failure_count) == (True, 0)
    assert session.endpoint_id.startswith("ep_")
    assert (session.id[:4], session.is_resumed) == ("lss_", False)


def test_a_renewal_is_written_once_enough_of_the_time_is_gone(
    workspace: Workspace, database: WriteDatabase
) -> None:
    begun = listener(begin(workspace, limits=LIMITS).endpoint_id)
    db.session.expunge(begun)
    started = begun.ends_at - LIMITS.kept_for
    soon = started + LIMITS.renewed_within
    assert listener_sessions.renew(database, begun, limits=LIMITS, now=soon) == begun.ends_at
    assert listener(begun.endpoint_id).ends_at == begun.ends_at

    later = soon + timedelta(microseconds=1)
    assert listener_sessions.renew(database, begun, limits=LIMITS, now=later) == later + LIMITS.kept_for
    assert listener(begun.endpoint_id).ends_at == later + LIMITS.kept_for


def test_one_that_has_ended_or_was_taken_over_is_not_renewed(
    workspace: Workspace, database: WriteDatabase
) -> None:
    begun = listener(begin(workspace, limits=LIMITS).endpoint_id)
    db.session.expunge(begun)
    listener_sessions.renew(database, begun, limits=LIMITS, now=begun.ends_at)
    assert listener(begun.endpoint_id).ends_at == begun.ends_at

    taken_over = listener(begin(workspace, limits=LIMITS).endpoint_id).ends_at
    listener_sessions.renew(database, begun, limits=LIMITS, now=begun.ends_at - timedelta(seconds=1))
    assert listener(begun.endpoint_id).ends_at == taken_over


def test_there_may_be_so_many_at_a_time_and_so_many_names(workspace: Workspace, databases: Databases) -> None:
    first, _ = (begin(workspace, name=name, limits=LIMITS) for name in ("one", "two"))
    with pytest.raises(TooManyListeners) as refused:
        begin(workspace, name="three", limits=LIMITS)
    assert (refused.value.count, refused.value.what) == (2, "listeners in this workspace")

    ending.end(databases.write, first.endpoint_id, actor=TESTER)
    third = begin(workspace, name="three", limits=LIMITS)
    ending.end(databases.write, third.endpoint_id, actor=TESTER)
    with pytest.raises(TooManyListeners) as refused:
        begin(workspace, name="four", limits=LIMITS)
    assert (refused.value.count, refused.value.what) == (3, "names of listeners with this token")
    assert begin(workspace, name="one", limits=LIMITS).endpoint_id == first.endpoint_id


def test_from_the_moment_on_at_which_it_ends_it_begins_anew(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(workspace, limits=LIMITS)
    ends_at = listener(begun.endpoint_id).ends_at
    monkeypatch.setattr(clock, "now", lambda: ends_at)
    again = begin(workspace, limits=LIMITS)
    assert (again.endpoint_id, again.is_resumed) == (begun.endpoint_id, False)
    assert listener(begun.endpoint_id).started_at == ends_at
    monkeypatch.setattr(clock, "now", lambda: ends_at + LIMITS.kept_for - timedelta(microseconds=1))
    assert begin(workspace, limits=LIMITS).is_resumed


def test_a_new_beginning_leaves_other_listeners_as_they_are(workspace: Workspace) -> None:
    chosen: dict[str, Any] = {"all_events": False, "event_types": ("batch-lifecycle",)}
    other = begin(workspace, name="other", **chosen)
    workspace.send()
    assert len(claim(other.endpoint_id)) == 1
    before = listener(other.endpoint_id).session_id, listener(other.endpoint_id).ends_at

    begun = begin(workspace, **chosen)
    again = begin(workspace, **chosen)

    assert (again.endpoint_id, again.is_resumed) == (begun.endpoint_id, True)
    assert (listener(other.endpoint_id).session_id, listener(other.endpoint_id).ends_at) == before
    assert listener(begun.endpoint_id).session_id == again.id
    subscribed = select(Subscription.endpoint_id, func.count()).group_by(Subscription.endpoint_id)
    assert {tuple(row) for row in db.session.execute(subscribed)} == {
        (begun.endpoint_id, 1),
        (other.endpoint_id, 1),
    }
    assert db.session.scalars(select(func.count()).select_from(SigningSecret)).one() == 2
    assert db.session.scalars(select(PendingDelivery.claimed_at)).one() is not None


def test_what_its_last_program_held_is_due_at_once(workspace: Workspace) -> None:
    session = begin(workspace)
    workspace.send()
    claim(session.endpoint_id)
    began = clock.now()
    begin(workspace)
    db.session.rollback()
    row = db.session.scalars(select(PendingDelivery)).one()
    assert row.claimed_at is None
    assert began <= row.next_attempt_at <= clock.now()


def test_what_waits_for_its_retry_goes_on_waiting(workspace: Workspace, database: WriteDatabase) -> None:
    session = begin(workspace)
    workspace.send()
    retry_at = clock.now() + timedelta(hours=1)
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=retry_at))
    assert begin(workspace).endpoint_id == session.endpoint_id
    db.session.rollback()
    assert db.session.scalars(select(PendingDelivery.next_attempt_at)).one() == retry_at


def test_each_beginning_is_in_the_audit_log(workspace: Workspace) -> None:
    begin(workspace, forward_to="http://localhost:1/")
    session = begin(
        workspace, all_events=False, event_types=("batch-lifecycle",), forward_to="http://localhost:2/"
    )
    entries = select(AuditEntry).where(AuditEntry.action == "listener.start").order_by(AuditEntry.id)
    first, second = db.session.scalars(entries)
    assert (first.target, first.actor) == (session.endpoint_id, TESTER.name)
    assert '"event_types":"all"' in first.details.replace(" ", "")
    assert '"resumed":false' in first.details.replace(" ", "")
    assert '"event_types":["batch-lifecycle"]' in second.details.replace(" ", "")
    assert '"resumed":true' in second.details.replace(" ", "")
    assert db.session.scalars(select(Listener.forward_to)).one() == "http://localhost:2/"
