"""The producer API over HTTP, on both databases."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import Workspace
from tests.events.test_fan_out_runs import commit_first_piece
from tests.patience import PATIENT_GROUPS
from tests.reading import json_of
from tests.web.api.events import EVENT, count
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, Event, PendingDelivery
from webhooks_app.events import fan_out_runs
from webhooks_app.events.fan_out import FanOutLimits
from webhooks_app.extensions import attach_services, db, services
from webhooks_app.jobs.wake_ups import WakeUps


def test_an_event_is_accepted_with_a_delivery_for_each_subscribed_endpoint(
    workspace: Workspace, post: Callable[..., Any], make_workspace: Callable[[str], Workspace]
) -> None:
    workspace.endpoint("http://127.0.0.1:9/all")
    workspace.endpoint("http://127.0.0.1:9/named", all_events=False, event_types=["batch-lifecycle"])
    workspace.endpoint("http://127.0.0.1:9/other", all_events=False, event_types=["batch-request"])
    make_workspace("Other").endpoint("http://127.0.0.1:9/elsewhere")

    response = post(EVENT)

    assert response.status_code == 202
    assert response.json["id"].startswith("evt_")
    assert response.json["deliveries"] == 2
    assert count(Delivery) == count(PendingDelivery) == 2


def test_an_event_nobody_subscribed_to_is_accepted_all_the_same(post: Callable[..., Any]) -> None:
    assert post(EVENT).json["deliveries"] == 0
    assert count(Event) == 1


def test_the_data_is_kept_as_it_was_sent(post: Callable[..., Any], workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    data = {"batch_id": "ünï 🎈 \u2028", "status": "failed", "extra": [1, 2.5, None, True, {"a": "<b>"}]}
    event_id = post({"type": "batch-lifecycle", "data": data}).json["id"]
    body = json.loads(db.session.get_one(Event, event_id).body)
    assert body["data"] == data


WRITTEN = (
    b'{ "batch_id":"b\\u0031 \\ud83c\\udf88","status" : "failed",\r\n\t"n":[3.14159265358979323846,'
    b' 1e-400, 1E+2, -0, 1.10, 12345678901234567890123],"d\\u0061ta":{"data":{ }}, "url":"https:\\/\\/x" }'
)


@pytest.mark.parametrize(
    ("path", "around"),
    [
        ("/api/v1/events", b'{"type":"batch-lifecycle","data" : %b\n}'),
        ("/api/v1/events", b'{"d\\u0061ta":%b,"type":"batch-lifecycle"}'),
        ("/api/v1/events/batch", b'{"events":[{"data":%b, "type":"batch-lifecycle"}]}'),
    ],
)
def test_the_text_of_the_data_goes_on_as_it_was_written(
    post: Callable[..., Any], client: FlaskClient, workspace: Workspace, path: str, around: bytes
) -> None:
    response = post(around % WRITTEN, path)

    assert response.status_code == 202, response.text
    event_id = response.json["id"] if "id" in response.json else response.json["events"][0]["id"]
    body = db.session.get_one(Event, event_id).body
    assert body.endswith(b',"data":' + WRITTEN + b"}")
    assert json.loads(body)["id"] == event_id
    shown = client.get(f"/api/v1/events/{event_id}", headers=workspace.headers)
    assert json_of(shown)["body"] == body.decode()


def test_each_event_of_a_batch_keeps_its_own_data(post: Callable[..., Any]) -> None:
    events = ", ".join(
        f'{{"type": "batch-lifecycle", "data": {{"batch_id": "b", "status": "failed", "n": {number}.10}}}}'
        for number in range(3)
    )

    accepted = post(f'{{"events": [{events}]}}'.encode(), "/api/v1/events/batch").json["events"]

    bodies = [db.session.get_one(Event, each["id"]).body for each in accepted]
    assert [body.rpartition(b" ")[2] for body in bodies] == [b"0.10}}", b"1.10}}", b"2.10}}"]


def test_an_idempotency_key_makes_one_event(workspace: Workspace, post: Callable[..., Any]) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    first = post(EVENT, **{"Idempotency-Key": "k1"})
    second = post(EVENT, **{"Idempotency-Key": "k1"})
    other = post(EVENT | {"data": {"batch_id": "b2", "status": "failed"}}, **{"Idempotency-Key": "k1"})

    assert first.status_code == second.status_code == 202
    assert first.json == second.json
    assert first.json["deliveries"] == 1
    assert other.status_code == 409
    assert other.json["error"]["code"] == "idempotency_key_reused"
    assert count(Event) == count(PendingDelivery) == 1


def test_one_idempotency_key_used_by_many_at_once_makes_one_event(app: Flask, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    answers: list[Any] = []

    def send() -> None:
        headers = workspace.headers | {"Idempotency-Key": "same"}
        answers.append(app.test_client().post("/api/v1/events", json=EVENT, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert count(Event) == count(Delivery) == 1


def test_an_idempotency_key_is_the_workspaces_own(
    workspace: Workspace, make_workspace: Callable[[str], Workspace], client: FlaskClient
) -> None:
    answers = [
        client.post("/api/v1/events", json=EVENT, headers=one.headers | {"Idempotency-Key": "k"})
        for one in (workspace, make_workspace("Other"))
    ]
    assert len({json_of(answer)["id"] for answer in answers}) == 2


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_unusable_idempotency_key_is_refused(post: Callable[..., Any], key: str) -> None:
    response = post(EVENT, **{"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json["error"]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"type": "batch-lifecycle", "data": {"batch_id": NaN}}', 400, None),
        (b'{"type": "batch-lifecycle", "type": "x", "data": {}}', 400, None),
        (b"[" * 100_000, 400, None),
        (b"1" * 10_000, 400, None),
        (b'{"type":"batch-lifecycle","data":{"batch_id":"\\ud800","status":"failed"}}', 400, None),
        (b'{"type":"batch-lifecycle","data":{"batch_id":"\\u0000","status":"failed"}}', 400, None),
        (b"\xff\xfe", 400, None),
        ([EVENT], 422, None),
        ({"type": "batch-lifecycle"}, 422, "data"),
        ({"type": "batch-lifecycle", "data": []}, 422, "data"),
        ({"type": "no-such-type", "data": {}}, 422, "type"),
        ({"type": ["batch-lifecycle"], "data": {}}, 422, "type"),
        (EVENT | {"extra": 1}, 422, "extra"),
        (EVENT | {"data": {"batch_id": "b1", "status": "exploded"}}, 422, "data.status"),
        (EVENT | {"data": {"batch_id": "b1"}}, 422, "data.status"),
    ],
    ids=str,
)
def test_bad_input_is_refused_at_its_field(
    post: Callable[..., Any], body: Any, status: int, field: str | None
) -> None:
    response = post(body)
    assert response.status_code == status
    assert response.json["error"]["field"] == field
    assert response.json["error"]["message"]
    assert count(Event) == 0


def test_a_batch_is_accepted_whole_or_not_at_all(workspace: Workspace, post: Callable[..., Any]) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    good = post({"events": [EVENT] * 1000}, "/api/v1/events/batch")
    assert good.status_code == 202
    assert len(good.json["events"]) == 1000
    assert count(Event) == count(Delivery) == 1000

    bad = post({"events": [EVENT, EVENT | {"type": "nope"}]}, "/api/v1/events/batch")
    assert bad.status_code == 422
    assert bad.json["error"]["field"] == "events[1].type"
    assert count(Event) == 1000


@pytest.mark.parametrize(
    "body", [{}, {"events": []}, {"events": [EVENT] * 1001}, {"events": {}}, [EVENT]], ids=range(5)
)
def test_a_malformed_batch_is_refused(post: Callable[..., Any], body: Any) -> None:
    response = post(body, "/api/v1/events/batch")
    assert (response.status_code, response.json["error"]["field"]) == (422, "events")


def test_an_event_is_shown_with_its_deliveries_to_its_own_workspace(
    client: FlaskClient,
    workspace: Workspace,
    make_workspace: Callable[[str], Workspace],
    post: Callable[..., Any],
) -> None:
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/")
    event_id = post(EVENT).json["id"]

    shown = json_of(client.get(f"/api/v1/events/{event_id}", headers=workspace.headers))
    assert shown["type"] == "batch-lifecycle"
    assert [row["endpoint_id"] for row in shown["deliveries"]] == [endpoint_id]
    assert shown["deliveries"][0]["state"] == "pending"
    foreign = client.get(f"/api/v1/events/{event_id}", headers=make_workspace("Other").headers)
    assert foreign.status_code == 404
    assert client.get("/api/v1/events/evt_none", headers=workspace.headers).status_code == 404


def test_deliveries_that_are_still_to_be_inserted_are_told_of(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    for number in range(5):
        workspace.endpoint(f"http://127.0.0.1:9/{number}")
    limits = FanOutLimits(smallest_piece=3, largest_piece=3, pause_seconds=0)
    event_ids, rest = commit_first_piece(workspace, database, 2, limits=limits)

    def shown() -> list[tuple[int, int]]:
        urls = (f"/api/v1/events/{each}" for each in event_ids)
        answers = [json_of(client.get(url, headers=workspace.headers)) for url in urls]
        return [(len(each["deliveries"]), each["deliveries_to_come"]) for each in answers]

    assert shown() == [(3, 2), (0, 5)]
    fan_out_runs.insert_rest(database, wake_ups, rest)
    assert shown() == [(5, 0), (5, 0)]


def test_an_event_is_read_by_its_key_in_its_own_workspace_only(
    client: FlaskClient, workspace: Workspace, make_workspace: Callable[[str], Workspace]
) -> None:
    body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    keyed = workspace.headers | {"Idempotency-Key": "orders/17 ?"}
    event_id = json_of(client.post("/api/v1/events", json=body, headers=keyed))["id"]
    path = "/api/v1/events/by-key/orders%2F17%20%3F"
    by_key = json_of(client.get(path, headers=workspace.headers))
    assert by_key == json_of(client.get(f"/api/v1/events/{event_id}", headers=workspace.headers))
    for headers, address in (
        (make_workspace("Other").headers, path),
        (workspace.headers, path[:-1]),
        (workspace.headers, "/api/v1/events/by-key/"),
        (workspace.headers, "/api/v1/events/by-key/%00"),
    ):
        assert client.get(address, headers=headers).status_code == 404


def test_the_catalog_is_served_with_schemas_and_examples(client: FlaskClient, workspace: Workspace) -> None:
    types = json_of(client.get("/api/v1/event-types", headers=workspace.headers))["event_types"]
    assert len(types) == 19
    assert all(item["schema"] and item["example"] and item["description"] for item in types)


def test_who_has_the_catalog_already_is_not_sent_it_again(client: FlaskClient, workspace: Workspace) -> None:
    first = client.get("/api/v1/event-types", headers=workspace.headers)
    etag = first.headers["ETag"]
    again = client.get("/api/v1/event-types", headers=workspace.headers | {"If-None-Match": etag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    other = client.get("/api/v1/event-types", headers=workspace.headers | {"If-None-Match": '"other"'})
    assert other.status_code == 200


def test_redis_down_is_still_a_fast_202(workspace: Workspace, app: Flask, database: WriteDatabase) -> None:
    settings = replace(services(app).settings, redis_url="redis://127.0.0.1:9")
    attach_services(app, settings, db.engine, group_limits=PATIENT_GROUPS)
    workspace.endpoint("http://127.0.0.1:9/")
    started = time.monotonic()
    workspace.send()
    assert time.monotonic() - started < 60
    assert services(app).wake_ups.backoff.is_failing
    assert count(PendingDelivery) == 1
