"""What is done with an endpoint over the API: use, test, secrets, subscriptions, health."""

import json

import pytest
from flask import Flask

from tests.conftest import Workspace
from tests.reading import json_of
from tests.receivers import Receiver
from tests.web.api.conftest import Api
from tests.web.deliveries import newest, state
from tests.web.endpoints import audited_actions, seed_failure, states
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Event
from webhooks_app.endpoints import signing_secrets
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine


@pytest.fixture
def path(workspace: Workspace, receiver: Receiver) -> str:
    endpoint_id = workspace.endpoint(
        receiver.url, all_events=False, event_types=["batch-lifecycle", "batch-request"]
    )
    return f"/endpoints/{endpoint_id}"


def test_a_disabled_endpoint_holds_and_is_enabled_with_what_it_held(
    api: Api, workspace: Workspace, path: str
) -> None:
    workspace.send()
    disabled = json_of(api.call("POST", f"{path}/disable"))
    assert disabled["state"] == "disabled"
    assert disabled["disabled_reason"].startswith("Disabled by API token “robot”")
    assert api.read(f"{path}/health")["held"] == 1
    assert api.call("POST", f"{path}/disable").status_code == 200
    assert audited_actions().count("endpoint.disable") == 1

    assert api.refusal("POST", f"{path}/enable") == (422, "invalid", "held")
    assert api.refusal("POST", f"{path}/enable", {"held": "keep"}) == (422, "invalid", "held")
    enabled = json_of(api.call("POST", f"{path}/enable", {"held": "send"}))
    assert (enabled["state"], enabled["held"], states()) == ("enabled", 1, [DeliveryState.PENDING])
    assert json_of(api.call("POST", f"{path}/enable"))["held"] == 0
    assert audited_actions().count("endpoint.enable") == 1


def test_what_was_held_can_be_discarded(api: Api, workspace: Workspace, path: str) -> None:
    api.call("POST", f"{path}/disable")
    workspace.send(2)
    assert json_of(api.call("POST", f"{path}/enable", {"held": "discard"}))["held"] == 2
    assert states() == [DeliveryState.CANCELED] * 2


def test_a_test_event_is_sent_as_it_was_written(
    api: Api, path: str, receiver: Receiver, engine: DeliveryEngine, app: Flask
) -> None:
    example = api.call("POST", f"{path}/test", {"type": "batch-input-deletion"})
    assert example.status_code == 202
    assert json_of(example) == {"delivery_id": newest().id}
    engine.run(seconds=60)
    [received] = receiver.received
    assert json.loads(received.body)["type"] == "batch-input-deletion"

    written = '{"type":"batch-lifecycle","data":{"batch_id":"b","status":"failed","n":1.10}}'
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    app.test_client().post(f"/api/v1{path}/test", data=written, headers=headers)
    event = db.session.get_one(Event, newest().event_id)
    assert event.body.endswith(b'"n":1.10}}')
    assert event.indexed_values == ["b", "failed"]
    assert audited_actions().count("endpoint.test") == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "nope"}, "type"),
        ({"data": {}}, "type"),
        ({"type": "batch-lifecycle", "data": {"batch_id": "b"}}, "data.status"),
        ({"type": "batch-lifecycle", "data": []}, "data"),
    ],
)
def test_a_bad_test_event_is_refused(api: Api, path: str, body: object, field: str) -> None:
    assert api.refusal("POST", f"{path}/test", body)[::2] == (422, field)


def test_nothing_is_tested_on_a_disabled_endpoint(api: Api, path: str) -> None:
    api.call("POST", f"{path}/disable")
    body = {"type": "batch-lifecycle"}
    assert api.refusal("POST", f"{path}/test", body) == (409, "endpoint_disabled", None)


def test_health_says_how_it_does(api: Api, workspace: Workspace, database: WriteDatabase, path: str) -> None:
    healthy = api.read(f"{path}/health")
    assert (healthy["state"], healthy["pending"], healthy["failing_since"]) == ("untried", 0, None)
    workspace.send(3)
    seed_failure(database, path.split("/")[2], "timeout")
    failing = api.read(f"{path}/health")
    assert (failing["state"], failing["last_failure_outcome"], failing["pending"]) == (
        "failing",
        "timeout",
        3,
    )


def test_a_secret_is_shown_rotated_and_revoked(api: Api, path: str) -> None:
    shown = api.get(f"{path}/secrets")
    assert shown.headers["Cache-Control"] == "no-store"
    [first] = json_of(shown)["data"]
    assert first["secret"].startswith("whsec_") and first["expires_at"] is None

    rotated = api.call("POST", f"{path}/secrets", {"overlap": "1h"})
    assert (rotated.status_code, rotated.headers["Cache-Control"]) == (201, "no-store")
    second = json_of(rotated)
    both = api.read(f"{path}/secrets")["data"]
    assert [each["id"] for each in both] == [second["id"], first["id"]]
    assert both[1]["expires_at"] is not None and both[1]["secret"] == first["secret"]

    assert api.refusal("DELETE", f"{path}/secrets/{second['id']}") == (409, "current_secret", None)
    assert api.call("DELETE", f"{path}/secrets/{first['id']}").status_code == 204
    assert api.call("DELETE", f"{path}/secrets/{first['id']}").status_code == 204
    assert api.read(f"{path}/secrets")["data"] == [second]
    assert api.refusal("DELETE", f"{path}/secrets/sec_none") == (404, "not_found", None)
    assert api.refusal("POST", f"{path}/secrets", {"overlap": "2h"}) == (422, "invalid", "overlap")
    recorded = audited_actions()
    assert recorded.count("secret.reveal") == 4
    assert (recorded.count("secret.rotate"), recorded.count("secret.revoke")) == (1, 1)
    assert set(signing_secrets.OVERLAPS) == {"now", "1h", "24h", "7d"}


def test_types_are_subscribed_to_one_by_one(api: Api, path: str) -> None:
    before = api.get(path).headers["ETag"]
    types = f"{path}/subscriptions"
    for _ in range(2):
        assert api.call("PUT", f"{types}/batch-input-deletion").status_code == 204
    assert api.get(path).headers["ETag"] != before
    listed = api.read(types)
    names = ["batch-input-deletion", "batch-lifecycle", "batch-request"]
    assert [each["event_type"] for each in listed["data"]] == names
    assert (listed["next"], listed["all_events"]) == (None, False)
    assert audited_actions().count("endpoint.change") == 1

    for name in names[:2]:
        assert api.call("DELETE", f"{types}/{name}").status_code == 204
    assert api.refusal("DELETE", f"{types}/{names[0]}") == (404, "not_found", None)
    assert api.refusal("DELETE", f"{types}/{names[2]}") == (409, "last_subscription", None)
    assert api.read(path)["event_types"] == names[2:]
    assert api.refusal("PUT", f"{types}/nope") == (422, "unknown_event_type", "event_type")

    api.call("PATCH", path, {"all_events": True})
    for method in ("PUT", "DELETE"):
        assert api.refusal(method, f"{types}/batch-request") == (409, "all_events", None)
    assert api.read(types) == {"data": [], "next": None, "all_events": True}


def test_a_test_event_goes_to_this_endpoint_only(api: Api, workspace: Workspace, path: str) -> None:
    workspace.endpoint("https://other.example.com/")
    delivery_id = json_of(api.call("POST", f"{path}/test", {"type": "batch-request"}))["delivery_id"]
    assert state(delivery_id) is DeliveryState.PENDING
    assert len(states()) == 1


def test_a_subscription_to_a_type_that_left_is_told_kept_and_let_go_of(
    api: Api, workspace: Workspace
) -> None:
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/", all_events=False, event_types=["order.paid"])
    path = f"/endpoints/{endpoint_id}"

    assert api.read(f"{path}/subscriptions")["data"] == [{"event_type": "order.paid", "in_catalog": False}]
    assert api.read(path)["event_types"] == ["order.paid"]
    kept = api.call("PATCH", path, {"event_types": ["order.paid", "batch-request"]})
    assert json_of(kept)["event_types"] == ["batch-request", "order.paid"]
    assert api.call("PUT", f"{path}/subscriptions/order.paid").status_code == 204
    assert api.call("DELETE", f"{path}/subscriptions/order.paid").status_code == 204
    assert api.refusal("PATCH", path, {"event_types": ["order.paid"]})[::2] == (422, "event_types[0]")
    assert api.refusal("PUT", f"{path}/subscriptions/order.paid")[0] == 422
