"""The delivery log over the API, on both databases."""

from dataclasses import fields

import msgspec
import pytest
from sqlalchemy import update

from tests.conftest import Workspace
from tests.deliveries.conftest import claim, fail_all
from tests.free_ports import free_port
from tests.reading import json_of
from tests.receivers import Answer, Receiver
from tests.web.api.conftest import Api
from tests.web.deliveries import newest, state
from tests.web.endpoints import audited_actions
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Endpoint
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.web.api.query_models import DeliveryQuery
from webhooks_app.worker.engine import DeliveryEngine


@pytest.fixture
def endpoint_id(workspace: Workspace, receiver: Receiver) -> str:
    return workspace.endpoint(receiver.url, headers=[("X-Tenant", "s3cret")])


def ids(api: Api, query: str = "") -> list[str]:
    return [each["id"] for each in api.read(f"/deliveries?{query}")["data"]]


def test_the_log_is_listed_page_by_page(
    api: Api, stranger: Api, workspace: Workspace, endpoint_id: str
) -> None:
    workspace.send(5)
    everything = ids(api)
    assert everything == sorted(everything, reverse=True)
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = api.read(f"/deliveries?limit=2&cursor={cursor}")
        found += [each["id"] for each in page["data"]]
        cursor = page["next"]
    assert found == everything
    assert len(found) == 5
    assert stranger.read("/deliveries") == {"data": [], "next": None}


def test_the_log_is_filtered_as_in_the_console(
    api: Api, workspace: Workspace, database: WriteDatabase, endpoint_id: str
) -> None:
    first, second = workspace.send(batch_id="one"), workspace.send(batch_id="two")
    fail_all(database)
    third = workspace.send(batch_id="three")
    newest_first = ids(api)
    by_event = {each["event_id"]: each["id"] for each in api.read("/deliveries")["data"]}
    assert ids(api, "status=pending") == [by_event[third[0]]]
    assert ids(api, "status=failed&response=timeout&event_type=batch-lifecycle") == newest_first[1:]
    assert ids(api, f"q={second[0]}") == [by_event[second[0]]]
    assert ids(api, "q=one&range=1h") == [by_event[first[0]]]
    assert ids(api, f"endpoint={endpoint_id}") == newest_first
    assert ids(api, "until=2020-01-01T00:00:00Z") == []
    assert ids(api, "from=2020-01-01T00:00:00Z&limit=1") == newest_first[:1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=lost", "status"),
        ("endpoint=ep_x", "endpoint"),
        ("event_type=!", "event_type"),
        ("response=6xx", "response"),
        ("range=2h", "range"),
        ("from=yesterday", "from"),
        ("from=2026-01-02&until=2026-01-01", "until"),
        ("q=evt_short", "q"),
        ("cursor=evt_06h1bup04keinukl2ur6l4cu6o", "cursor"),
        ("cursor=' OR 1=1", "cursor"),
        ("before=dlv_06h1bup04keinukl2ur6l4cu6o", "before"),
        ("ids=dlv_06h1bup04keinukl2ur6l4cu6o&status=failed", "ids"),
        ("ids=" + ",".join(f"d{number}" for number in range(101)), "ids"),
    ],
)
def test_a_bad_filter_is_refused_at_its_argument(api: Api, query: str, field: str) -> None:
    status, _, found = api.refusal("GET", f"/deliveries?{query}")
    assert (status, found) == (400, field)


def test_another_workspaces_endpoint_is_no_filter(stranger: Api, endpoint_id: str) -> None:
    assert stranger.refusal("GET", f"/deliveries?endpoint={endpoint_id}") == (404, "not_found", None)


def test_every_filter_of_the_log_is_an_argument() -> None:
    arguments = {each.encode_name for each in msgspec_fields()} - {"limit", "cursor", "ids"}
    assert arguments == {
        {"since": "from", "within": "in"}.get(each.name, each.name) for each in fields(LogFilter)
    }


def test_deliveries_are_read_by_their_ids_as_they_are_now(
    api: Api,
    stranger: Api,
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    endpoint_id: str,
) -> None:
    refusing = workspace.endpoint(f"http://127.0.0.1:{free_port()}/")
    workspace.send(2)
    engine.run(seconds=60)
    to_refusing, delivered = ids(api, f"endpoint={refusing}")[0], ids(api, f"endpoint={endpoint_id}")[0]
    named = f"ids={delivered},dlv_none,,{to_refusing},{delivered}"
    read = api.read(f"/deliveries?{named}")
    assert [(each["id"], each["attempts"]) for each in read["data"]] == [(delivered, 1), (to_refusing, 1)]
    assert read["next"] is None
    assert [bool(each["last_detail"]) for each in read["data"]] == [False, True]
    shown = api.read(f"/deliveries/{to_refusing}")
    assert shown["last_detail"] == api.read(f"/deliveries/{to_refusing}/attempts")["data"][0]["detail"]
    assert ids(stranger, named) == []


def msgspec_fields() -> "tuple[msgspec.structs.FieldInfo, ...]":
    return msgspec.structs.fields(DeliveryQuery)


def test_a_delivery_is_read_with_its_reason_payload_and_attempts(
    api: Api, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, endpoint_id: str
) -> None:
    workspace.send()
    receiver.answer = Answer(503, b"down \xff", {"X-Why": "maintenance"})
    engine.run(seconds=60)
    delivery_id = newest().id
    shown = api.read(f"/deliveries/{delivery_id}")
    assert (shown["status"], shown["last_status"], shown["attempts"]) == ("retrying", 503, 1)
    assert shown["headline"].startswith("Attempt 1 of 10 failed: 503")
    assert shown["payload"].encode() == receiver.received[0].body
    [attempt] = api.read(f"/deliveries/{delivery_id}/attempts")["data"]
    assert (attempt["outcome"], attempt["status"], attempt["number"]) == ("http_5xx", 503, 1)
    assert attempt["id"].startswith("att_")
    assert attempt["response_body"] == "down \\xff"
    assert "X-Why: maintenance" in attempt["response_headers"]
    assert ["X-Tenant", "s3cret"] not in attempt["request_headers"]
    assert "webhook-signature" in dict(attempt["request_headers"])
    assert {phase["name"] for phase in attempt["phases"]} <= {"dns", "connect", "tls", "wait", "download"}


def test_a_delivery_is_replayed_and_canceled(
    api: Api, workspace: Workspace, database: WriteDatabase, endpoint_id: str
) -> None:
    workspace.send()
    fail_all(database)
    path = f"/deliveries/{newest().id}"
    replayed = api.call("POST", f"{path}/replay")
    assert (replayed.status_code, json_of(replayed)["status"]) == (202, "pending")
    canceled = api.call("POST", f"{path}/cancel")
    assert (canceled.status_code, json_of(canceled)["status"]) == (200, "canceled")
    assert api.refusal("POST", f"{path}/cancel") == (409, "finished", None)
    assert audited_actions()[-2:] == ["delivery.replay", "delivery.cancel"]


def test_what_is_being_sent_is_neither_replayed_nor_canceled(
    api: Api, workspace: Workspace, database: WriteDatabase, endpoint_id: str
) -> None:
    workspace.send()
    claim(database, newest().id)
    path = f"/deliveries/{newest().id}"
    for action in ("replay", "cancel"):
        assert api.refusal("POST", f"{path}/{action}") == (409, "in_flight", None)
    assert api.read(path)["status"] == "sending"


def test_a_replay_needs_an_enabled_endpoint(
    api: Api, workspace: Workspace, database: WriteDatabase, endpoint_id: str
) -> None:
    workspace.send()
    fail_all(database)
    path = f"/deliveries/{newest().id}/replay"
    with database.begin() as connection:
        connection.execute(update(Endpoint).values(state="disabled"))
    assert api.refusal("POST", path) == (409, "endpoint_disabled", None)
    api.call("DELETE", f"/endpoints/{endpoint_id}")
    assert api.refusal("POST", path) == (409, "endpoint_deleted", None)
    assert state(newest().id) is DeliveryState.FAILED
