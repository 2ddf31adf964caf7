"""What an admin searches by is found at once, in the order of the events, however the rest is filtered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from tests.conftest import Workspace
from tests.deliveries.conftest import change, claim, found, newest_ids, page, statements
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Delivery, DeliveryState
from webhooks_app.deliveries.log import delivery_list, filters, search
from webhooks_app.extensions import db


def by_event(workspace: Workspace, event_ids: list[str]) -> list[str]:
    """The events' deliveries, those of the newest event first."""
    db.session.rollback()
    theirs = select(Delivery.id).where(Delivery.event_id.in_(event_ids))
    return list(db.session.scalars(theirs.order_by(Delivery.event_id.desc(), Delivery.id.desc())))


def test_a_value_finds_the_deliveries_of_its_events(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/")
    wanted = [*workspace.send(2, batch_id="Batch_7Q2M"), *workspace.send(1, batch_id="batch_7q2m")]
    workspace.send(3, batch_id="batch_8", note="batch_7Q2M")

    assert found(workspace, q="batch_7Q2M") == by_event(workspace, wanted)
    assert len(found(workspace, q="batch_7q")) == 12, "no value: text"


def test_it_is_found_at_once_behind_a_long_log(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    [wanted] = workspace.send(1, batch_id="batch_1")
    workspace.send(60, batch_id="batch_2")
    no_search = SearchLimits(rows=1, seconds=60, chunk_rows=1)

    with statements() as caught:
        got = page(workspace, q="BATCH_1", limits=no_search)

    assert [row.event_id for row in got.rows] == [wanted]
    assert got.searched_to is None
    assert not [each for each in caught if "events.body" in each]
    by_values = [each for each in caught if "events.first_value =" in each]
    assert len(by_values) == 2, "whether it is a value, and which events have it"


def test_whole_payloads_are_searched_if_asked_for(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(1, batch_id="batch_1")
    workspace.send(1, batch_id="batch_2", note="after batch_1")

    assert len(found(workspace, q="batch_1")) == 1
    assert len(found(workspace, q="batch_1", **{"in": "payloads"})) == 2


def test_a_value_combines_with_the_other_filters(workspace: Workspace, database: WriteDatabase) -> None:
    first = workspace.endpoint("https://a.example.com/")
    second = workspace.endpoint("https://b.example.com/", name="Other")
    workspace.send(2, batch_id="batch_1")
    rows = newest_ids(workspace)
    db.session.rollback()
    owner = dict(db.session.execute(select(Delivery.id, Delivery.endpoint_id)).all())
    failed, claimed = (next(each for each in rows if owner[each] == name) for name in (first, second))
    change(database, failed, state=DeliveryState.FAILED, last_outcome="http_410", last_status=410)
    claim(database, claimed)

    assert found(workspace, q="batch_1", status="failed") == [failed]
    assert found(workspace, q="batch_1", response="4xx") == [failed]
    assert found(workspace, q="batch_1", status="sending") == [claimed]
    assert {owner[each] for each in found(workspace, q="batch_1", endpoint=first)} == {first}
    assert found(workspace, q="batch_1", event_type="batch-request") == []
    assert len(found(workspace, q="batch_1", range="1h")) == 4
    assert found(workspace, q="batch_1", until="2020-01-01T00:00") == []


def test_pages_follow_each_other_both_ways(workspace: Workspace) -> None:
    for name in "abc":
        workspace.endpoint(f"https://{name}.example.com/")
    expected = by_event(workspace, [event for _ in range(4) for event in workspace.send(10)])
    workspace.send(5, batch_id="other")

    forward, before = [], ""
    while True:
        got = page(workspace, before, limit=7, q="b1")
        forward.append([row.id for row in got.rows])
        if not got.older:
            break
        before = got.older
    assert [each for some in forward for each in some] == expected

    back = page(workspace, after=forward[5][0], limit=7, q="b1")
    assert [row.id for row in back.rows] == forward[4]
    newest = forward[0][3]
    wanted = filters.parse({"q": "b1"})
    assert delivery_list.count_newer(db.session(), workspace.id, wanted, newest, now=clock.now()) == 3


def test_a_delivery_that_a_fan_out_adds_late_stands_with_its_event(
    workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    [early], [_late] = workspace.send(1), workspace.send(1)
    values = {"id": ids.new("dlv"), "workspace_id": workspace.id, "endpoint_id": endpoint_id}
    values |= {"event_id": early, "event_type": "batch-lifecycle", "state": DeliveryState.DELIVERED}
    with database.begin() as connection:
        connection.execute(insert(Delivery).values(**values, created_at=clock.now()))

    assert [row.event_id for row in page(workspace, q="b1").rows][1:] == [early] * 2
    assert len(found(workspace, q="b1")) == 3


def test_a_cursor_whose_delivery_is_gone_stands_for_its_time(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(2)
    gone = ids.floor("dlv", clock.now() + timedelta(seconds=1))

    assert len(page(workspace, gone, q="b1").rows) == 2


def test_a_value_whose_deliveries_rarely_match_is_searched_for_in_steps(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    [wanted] = workspace.send(1)
    workspace.send(60)
    [oldest] = by_event(workspace, [wanted])
    change(database, oldest, state=DeliveryState.FAILED, last_outcome="timeout")
    limits = SearchLimits(rows=20, seconds=60, chunk_rows=5)

    first = page(workspace, q="b1", status="failed", limits=limits)
    assert (first.rows, bool(first.searched_to)) == ([], True)
    limits = replace(limits, rows=100)
    second = page(workspace, first.older, q="b1", status="failed", limits=limits)
    assert [row.id for row in second.rows] == [oldest]


@pytest.mark.parametrize("text", ["b1", "succeeded"])
def test_another_workspace_sees_nothing_of_it(
    workspace: Workspace, make_workspace: Callable[[str], Workspace], text: str
) -> None:
    other = make_workspace("Other")
    other.endpoint("https://a.example.com/")
    other.send()
    assert found(workspace, q=text) == []
    assert not search.is_by_value(db.session(), workspace.id, filters.parse({"q": text}))


def test_what_is_taken_for_a_value_stays_one(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(1, batch_id="batch_1", note="gone")
    settled = [
        search.resolve_text_kind(db.session(), workspace.id, filters.parse({"q": text})).within
        for text in ("Batch_1", "gone", ids.new("dlv"), "")
    ]
    assert settled == ["values", "payloads", "", ""]
    assert found(workspace, q="gone", **{"in": "values"}) == []
