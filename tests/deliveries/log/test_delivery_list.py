"""Pages of the log: each delivery once, and what is new beside them."""

from collections.abc import Callable

from tests.conftest import Workspace
from tests.deliveries.conftest import found, newest_ids, page
from webhooks_app.core import clock
from webhooks_app.deliveries.log import delivery_list, filters
from webhooks_app.deliveries.log.rows import read_rows
from webhooks_app.extensions import db


def test_pages_show_every_delivery_once_while_others_come_in(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(17)
    expected = newest_ids(workspace)

    seen, before = [], ""
    while True:
        got = page(workspace, before, limit=5)
        seen += [row.id for row in got.rows]
        workspace.send(2)
        if not got.older:
            break
        before = got.older

    assert seen == expected


def test_newer_leads_back_over_the_same_pages(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(12)
    first = page(workspace, limit=5)
    second = page(workspace, first.older, limit=5)
    third = page(workspace, second.older, limit=5)

    assert (first.newer, third.older) == ("", "")
    assert [row.id for row in page(workspace, after=third.newer, limit=5).rows] == [
        row.id for row in second.rows
    ]
    back = page(workspace, after=second.newer, limit=5)
    assert ([row.id for row in back.rows], back.newer) == ([row.id for row in first.rows], "")


def test_a_workspace_sees_only_its_own(
    workspace: Workspace, make_workspace: Callable[[str], Workspace]
) -> None:
    other = make_workspace("Other")
    for each in (workspace, other):
        each.endpoint("https://a.example.com/")
        each.send(2)

    mine, theirs = newest_ids(workspace), newest_ids(other)
    assert found(workspace) == mine
    assert found(workspace, q=theirs[0]) == []
    assert found(workspace, status="pending") == mine
    assert read_rows(db.session(), workspace.id, theirs) == []


def test_new_deliveries_are_counted_up_to_a_bound(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    [newest] = newest_ids(workspace)

    def count(**arguments: str) -> int:
        db.session.rollback()
        return delivery_list.count_newer(
            db.session(), workspace.id, filters.parse(arguments), newest, now=clock.now()
        )

    assert count() == 0
    workspace.send(3)
    assert (count(), count(event_type="batch-request"), count(q="nothing")) == (3, 0, 0)
    workspace.send(40)
    assert count() == delivery_list.NEW_COUNTED + 1
