"""Events of the past: so many, the newest, each once."""

from datetime import timedelta

from tests.conftest import Workspace
from tests.listeners.listening import begin, claim
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.listeners import past_events
from webhooks_app.listeners.past_events import Filled, PastLimits


def fill(databases: Databases, workspace: Workspace, endpoint_id: str, *, most: int) -> Filled:
    since, limits = clock.now() - timedelta(hours=1), PastLimits(most=most)
    return past_events.fill(
        databases, workspace.id, endpoint_id, since=since, event_types=None, limits=limits
    )


def test_the_newest_are_taken_and_whether_there_are_more_is_said(
    workspace: Workspace, databases: Databases
) -> None:
    sent = workspace.send(4)
    fitting, short = begin(workspace), begin(workspace, name="short")
    assert fill(databases, workspace, fitting.endpoint_id, most=4) == Filled(4, has_more=False)
    assert fill(databases, workspace, short.endpoint_id, most=3) == Filled(3, has_more=True)
    requests = claim(short.endpoint_id)
    assert [each.event_id for each in requests] == sent[1:]
    assert all(each.delivery_id.startswith("dlv_") and not each.is_test for each in requests)


def test_events_of_other_workspaces_and_of_before_are_none(
    workspace: Workspace, databases: Databases
) -> None:
    workspace.send(2)
    session, later = begin(workspace), clock.now() + timedelta(seconds=1)
    found = past_events.fill(databases, workspace.id, session.endpoint_id, since=later, event_types=None)
    assert found == Filled(0, has_more=False)
    assert claim(session.endpoint_id) == []
