"""Events of the past are looked for and added in pieces: complete, once, and in their order."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event, select

from tests.conftest import Workspace
from tests.web.api.conftest import new_api
from tests.web.api.listening import Listening, listen
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Delivery
from webhooks_app.extensions import db
from webhooks_app.listeners import past_events
from webhooks_app.listeners.past_events import AddedEvents, PastLimits

SMALL = PastLimits(most=7, looked_at=3, added=2, seconds=600)


@pytest.fixture
def listening(workspace: Workspace) -> Listening:
    return listen(new_api(workspace))


def fill(
    databases: Databases,
    workspace: Workspace,
    listening: Listening,
    limits: PastLimits,
    event_types: list[str] | None = None,
) -> AddedEvents:
    db.session.rollback()
    since = clock.now() - timedelta(hours=1)
    endpoint_id = listening.started["id"]
    return past_events.add_past_events(
        databases, workspace.id, endpoint_id, since=since, event_types=event_types, limits=limits
    )


def added(listening: Listening) -> list[str]:
    """Return the events of its deliveries, in the order of these."""
    db.session.rollback()
    mine = select(Delivery.event_id).where(Delivery.endpoint_id == listening.started["id"])
    return list(db.session.scalars(mine.order_by(Delivery.id)))


def test_the_newest_come_oldest_first_across_pieces(workspace: Workspace, databases: Databases) -> None:
    sent = workspace.send(10)
    listening = listen(new_api(workspace))
    assert fill(databases, workspace, listening, SMALL) == AddedEvents(7, True)
    assert added(listening) == sent[-7:]
    assert fill(databases, workspace, listening, SMALL) == AddedEvents(3, False)
    assert set(added(listening)) == set(sent)


def test_each_transaction_adds_so_many(workspace: Workspace, databases: Databases) -> None:
    workspace.send(5)
    listening = listen(new_api(workspace))
    db.session.rollback()
    commits: list[int] = []

    def note(_connection: Connection) -> None:
        commits.append(1)

    event.listen(db.engine, "commit", note)
    try:
        fill(databases, workspace, listening, SMALL)
    finally:
        event.remove(db.engine, "commit", note)
    assert len(commits) == 3


def test_a_search_that_takes_long_ends_with_what_it_has_found(
    workspace: Workspace, databases: Databases
) -> None:
    sent = workspace.send(8)
    listening = listen(new_api(workspace))
    assert fill(databases, workspace, listening, replace(SMALL, seconds=0)) == AddedEvents(3, True)
    assert added(listening) == sent[-3:]


def test_other_types_between_are_passed_over(workspace: Workspace, databases: Databases) -> None:
    sent = workspace.send(8)
    listening = listen(new_api(workspace), event_types=["batch-request"])
    assert fill(databases, workspace, listening, SMALL, ["batch-request"]) == AddedEvents(0, False)
    assert fill(databases, workspace, listening, SMALL, ["batch-lifecycle"]) == AddedEvents(7, True)
    assert added(listening) == sent[-7:]


def test_one_that_has_ended_gets_nothing(
    workspace: Workspace, databases: Databases, listening: Listening
) -> None:
    listening.end()
    workspace.send(2)
    assert fill(databases, workspace, listening, SMALL) == AddedEvents(0, False)
    assert added(listening) == []
