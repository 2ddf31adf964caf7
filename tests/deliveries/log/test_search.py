"""Filters find what they name, however rare it is."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from tests.conftest import Workspace
from tests.deliveries.conftest import change, claim, found, newest_ids, page
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.keyset import SearchLimits
from webhooks_app.db.models import Delivery, DeliveryState
from webhooks_app.extensions import db


def test_filters_find_what_they_name_and_combine(workspace: Workspace, database: WriteDatabase) -> None:
    first = workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/", name="Other")
    workspace.send(3)
    rows = newest_ids(workspace)
    db.session.rollback()
    owner = dict(db.session.execute(select(Delivery.id, Delivery.endpoint_id)).all())
    timed_out, refused = [each for each in rows if owner[each] == first][:2]
    change(database, timed_out, last_outcome="timeout", attempt_count=1, last_status=200)
    change(database, refused, state=DeliveryState.FAILED, last_outcome="http_410", last_status=410)
    with database.begin() as connection:
        connection.execute(update(Delivery).where(Delivery.id == rows[-1]).values(event_type="batch-request"))

    assert found(workspace, status="retrying") == [timed_out]
    assert found(workspace, status="failed") == [refused]
    assert found(workspace, endpoint=first) == [each for each in rows if owner[each] == first]
    assert found(workspace, event_type="batch-request") == [rows[-1]]
    assert found(workspace, response="timeout") == [timed_out]
    assert found(workspace, response="4xx") == [refused]
    assert found(workspace, response="http_410") == [refused]
    assert found(workspace, response="410") == [refused]
    assert found(workspace, response="404") == found(workspace, response="200") == []
    assert found(workspace, response="2xx") == []
    assert found(workspace, status="failed", endpoint=first, response="4xx") == [refused]
    assert found(workspace, status="failed", response="5xx") == []
    assert found(workspace, q=timed_out) == [timed_out]
    assert found(workspace, q=f"att_{timed_out.removeprefix('dlv_')}0001") == [timed_out]
    assert found(workspace, q=timed_out, status="failed") == []
    assert set(found(workspace, status="pending")) == set(rows) - {refused}


def test_what_did_not_arrive_is_what_failed_and_what_is_retried(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(5)
    retrying, failed, delivered, canceled, _ = newest_ids(workspace)
    change(database, retrying, last_outcome="timeout", attempt_count=1)
    change(database, failed, state=DeliveryState.FAILED, last_outcome="timeout")
    change(database, delivered, state=DeliveryState.DELIVERED, last_outcome="success")
    change(database, canceled, state=DeliveryState.CANCELED, last_outcome="timeout")

    assert found(workspace, status="undelivered") == [retrying, failed]
    assert found(workspace, status="undelivered", response="5xx") == []
    assert found(workspace, status="undelivered", q=failed) == [failed]


def test_tests_are_told_from_real_events(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    workspace.send(3)
    newest, test, oldest = newest_ids(workspace)
    change(database, test, is_test=True)

    assert found(workspace, traffic="test") == [test]
    assert found(workspace, traffic="test", endpoint=endpoint_id) == [test]
    assert found(workspace, traffic="test", status="failed") == []
    assert found(workspace, traffic="real") == [newest, oldest]
    assert [row.is_test for row in page(workspace).rows] == [False, True, False]


def test_a_recovery_finds_what_it_dealt_with(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(5)
    recovery = ids.new("rcv")
    retrying, failed, delivered, waiting, _ = newest_ids(workspace)
    for each in (retrying, failed, delivered, waiting):
        change(database, each, recovery_id=recovery)
    change(database, retrying, last_outcome="timeout", attempt_count=1)
    change(database, failed, state=DeliveryState.FAILED, last_outcome="timeout")
    change(database, delivered, state=DeliveryState.DELIVERED, last_outcome="success")

    assert found(workspace, recovery=recovery) == [retrying, failed, delivered, waiting]
    assert found(workspace, recovery=recovery, status="undelivered") == [retrying, failed]
    assert found(workspace, recovery=recovery, status="delivered") == [delivered]
    assert found(workspace, recovery=recovery, status="pending") == [retrying, waiting]
    assert found(workspace, recovery=ids.new("rcv")) == []


def test_an_event_id_finds_its_deliveries(workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.endpoint("https://b.example.com/")
    event_id = workspace.send(3)[1]

    rows = page(workspace, q=event_id).rows

    assert [row.event_id for row in rows] == [event_id] * 2


@pytest.mark.parametrize("text", ["nächtlich", "NÄCHTLICH", '"note": "nächtlich', '"NOTE":"Näch', "50%_'"])
def test_payload_text_is_found_in_any_case(workspace: Workspace, text: str) -> None:
    workspace.endpoint("https://a.example.com/")
    [event_id] = workspace.send(1, note="nächtlich, 50%_'")
    workspace.send(1, note="Nachtlich 50x")

    assert [row.event_id for row in page(workspace, q=text).rows] == [event_id]


@pytest.mark.parametrize(
    "written",
    [
        *(r'"n":"\u00fcn\u00ef \ud83c\udf88 https://x"', r'"n": "\u00FCn\u00EF \uD83C\uDF88 https://x"'),
        *('"n":"ünï 🎈 https://x"', r'"n":"\u00fcn\u00ef \ud83c\udf88 https:\/\/x"'),
    ],
)
def test_payload_text_is_found_however_its_producer_spelled_it(workspace: Workspace, written: str) -> None:
    workspace.endpoint("https://a.example.com/")
    data = f'{{"batch_id": "b1", "status": "failed", {written}}}'
    body = f'{{"type": "batch-lifecycle", "data": {data}}}'
    client = workspace.app.test_client()
    assert client.post("/api/v1/events", data=body.encode(), headers=workspace.headers).status_code == 202
    workspace.send(1, n="other")

    for text in ("ünï", "ÜNÏ", "🎈", "https://x", '"n": "ünï', '"n":"ünï', written):
        assert len(found(workspace, q=text)) == 1, text


def test_a_claimed_delivery_is_sending(workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(2)
    claimed, waiting = newest_ids(workspace)
    claim(database, claimed)

    assert found(workspace, status="sending") == [claimed]
    assert [row.status for row in page(workspace).rows] == ["sending", "pending"]
    versions = {row.id: row.version for row in page(workspace).rows}
    assert versions[claimed] != versions[waiting].replace(waiting, claimed)


def test_the_time_range_bounds_the_ids(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/")
    [event_id] = workspace.send()
    [recent] = newest_ids(workspace)
    at = clock.now() - timedelta(days=3)
    old = ids.floor("dlv", at)
    values = {"id": old, "workspace_id": workspace.id, "endpoint_id": endpoint_id, "event_id": event_id}
    with database.begin() as connection:
        connection.execute(
            insert(Delivery).values(
                **values, event_type="batch-request", state=DeliveryState.DELIVERED, created_at=at
            )
        )

    assert found(workspace, range="24h") == [recent]
    assert found(workspace, range="7d") == [recent, old]
    before, after = (f"{at + timedelta(minutes=shift):%Y-%m-%dT%H:%M}" for shift in (-2, 2))
    assert found(workspace, **{"from": before, "until": after}) == [old]


def test_a_rare_match_is_searched_for_in_steps(workspace: Workspace) -> None:
    limits = SearchLimits(rows=4, seconds=60, chunk_rows=2)  # a busy machine must not cut it shorter
    workspace.endpoint("https://a.example.com/")
    [event_id] = workspace.send(1, note="needle")
    workspace.send(9)

    steps = [page(workspace, limits=limits, q="needle")]
    while steps[-1].older:
        steps.append(page(workspace, steps[-1].older, limits=limits, q="needle"))

    assert [len(step.rows) for step in steps] == [0, 0, 1]
    assert steps[0].searched_to is not None
    assert steps[-1].rows[0].event_id == event_id
    assert steps[-1].searched_to is None
