"""Events of the past: so many, the newest, each once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.conftest import Workspace
from tests.listeners.listening import begin, claim, listener
from tests.listeners.test_lock_order import is_somebody_waiting
from tests.waiting import wait_for
from tests.worker.attempted import URL
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Delivery, Event
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.extensions import db
from webhooks_app.listeners import past_events
from webhooks_app.listeners.past_events import AddedEvents, PastLimits


def fill(databases: Databases, workspace: Workspace, endpoint_id: str, *, most: int) -> AddedEvents:
    since, limits = clock.now() - timedelta(hours=1), PastLimits(most=most, seconds=600)
    return past_events.add_past_events(
        databases, workspace.id, endpoint_id, since=since, event_types=None, limits=limits
    )


def test_the_newest_are_taken_and_whether_there_are_more_is_said(
    workspace: Workspace, databases: Databases
) -> None:
    sent = workspace.send(4)
    fitting, short = begin(workspace), begin(workspace, name="short")
    assert fill(databases, workspace, fitting.endpoint_id, most=4) == AddedEvents(4, has_more=False)
    assert fill(databases, workspace, short.endpoint_id, most=3) == AddedEvents(3, has_more=True)
    requests = claim(short.endpoint_id)
    assert [each.event_id for each in requests] == sent[1:]
    assert all(each.delivery_id.startswith("dlv_") and not each.is_test for each in requests)


def test_events_of_other_workspaces_and_of_before_are_none(
    workspace: Workspace, databases: Databases
) -> None:
    workspace.send(2)
    session, later = begin(workspace), clock.now() + timedelta(seconds=1)
    found = past_events.add_past_events(
        databases, workspace.id, session.endpoint_id, since=later, event_types=None
    )
    assert found == AddedEvents(0, has_more=False)
    assert claim(session.endpoint_id) == []


def test_what_it_got_at_the_moment_of_its_beginning_it_has(
    workspace: Workspace, databases: Databases
) -> None:
    session = begin(workspace)
    workspace.send()
    started_at = listener(session.endpoint_id).started_at
    for created_at, added in ((started_at, 0), (started_at - timedelta(microseconds=1), 1)):
        with databases.write.begin() as connection:
            connection.execute(update(Delivery).values(created_at=created_at))
        assert fill(databases, workspace, session.endpoint_id, most=5).count == added


@pytest.mark.parametrize("event_types", [None, ["batch-lifecycle"]])
def test_what_it_has_is_not_added_again(
    workspace: Workspace, databases: Databases, event_types: list[str] | None
) -> None:
    workspace.send(2)
    endpoint_id, since = begin(workspace).endpoint_id, clock.now() - timedelta(hours=1)
    for added in (2, 0):
        found = past_events.add_past_events(
            databases, workspace.id, endpoint_id, since=since, event_types=event_types
        )
        assert found == AddedEvents(added, has_more=False)


def test_where_there_is_no_such_listener_nothing_is_added(workspace: Workspace, databases: Databases) -> None:
    workspace.send()
    assert fill(databases, workspace, workspace.endpoint(URL), most=5).count == 0
    assert not db.session.scalars(select(Delivery)).all()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_it_does_not_wait_for_whoever_writes_the_values_of_events(
    workspace: Workspace, databases: Databases
) -> None:
    workspace.send(2)
    session = begin(workspace)
    with databases.write.begin() as connection:
        connection.execute(update(Event).values(indexed_values=None))
        assert fill(databases, workspace, session.endpoint_id, most=5).count == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_is_being_erased_is_waited_for_and_left_out(workspace: Workspace, databases: Databases) -> None:
    [erased, kept] = workspace.send(2)
    session = begin(workspace)

    def fill_all() -> AddedEvents:
        return fill(databases, workspace, session.endpoint_id, most=5)

    with ThreadPoolExecutor(1) as pool:
        with databases.write.begin() as connection:
            connection.execute(select(Event.id).where(Event.id == erased).with_for_update())
            filling = pool.submit(fill_all)
            wait_for(lambda: is_somebody_waiting(databases))
            payload_rows.erase_bodies(connection, [erased], now=clock.now())
        assert filling.result(30).count == 1
    assert [each.event_id for each in claim(session.endpoint_id)] == [kept]
