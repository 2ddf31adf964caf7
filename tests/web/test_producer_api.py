"""The producer API over HTTP, on both databases."""

import io
import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.conftest import TESTER, Workspace
from webhooks_app.accounts import api_tokens
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, Delivery, Event, PendingDelivery
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps

EVENT: dict[str, Any] = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def post(client: FlaskClient, workspace: Workspace) -> Callable[..., Any]:
    def post(body: Any, path: str = "/api/v1/events", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.post(path, data=data, headers=workspace.headers | headers)

    return post


def count(table: Any) -> int:
    db.session.rollback()
    return int(db.session.scalar(select(func.count()).select_from(table)) or 0)


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
    ids = {
        client.post("/api/v1/events", json=EVENT, headers=one.headers | {"Idempotency-Key": "k"}).json["id"]
        for one in (workspace, make_workspace("Other"))
    }
    assert len(ids) == 2


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


@pytest.mark.parametrize("declared", [True, False], ids=["with-length", "chunked"])
def test_a_body_over_the_limit_is_refused(client: FlaskClient, workspace: Workspace, declared: bool) -> None:
    body = json.dumps(EVENT | {"data": {"batch_id": "b" * 300_000, "status": "failed"}}).encode()
    options: dict[str, Any] = {"data": body} if declared else {"input_stream": io.BytesIO(body)}
    if not declared:
        options["environ_overrides"] = {"wsgi.input_terminated": True}
    response = client.post("/api/v1/events", headers=workspace.headers, **options)
    assert response.status_code == 413
    assert response.json["error"]["code"] == "too_large"


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


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer tok_wrong", "Bearer tok_\u00e9"])
def test_a_request_without_a_valid_token_is_refused(
    client: FlaskClient, app: Flask, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = client.post("/api/v1/events", json=EVENT, headers=headers)
    assert response.status_code == 401
    assert response.json["error"]["code"] == "unauthorized"


def test_a_revoked_token_is_refused(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    token = db.session.scalars(select(ApiToken)).one()
    api_tokens.revoke(database, token, actor=TESTER)
    assert client.get("/api/v1/event-types", headers=workspace.headers).status_code == 401


def test_the_use_of_a_token_is_noted_once_a_minute(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    client.get("/api/v1/event-types", headers=workspace.headers)
    first = db.session.scalars(select(ApiToken)).one().last_used_at
    assert first is not None
    client.get("/api/v1/event-types", headers=workspace.headers)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.scalars(select(ApiToken)).one().last_used_at == first


def test_an_event_is_shown_with_its_deliveries_to_its_own_workspace(
    client: FlaskClient,
    workspace: Workspace,
    make_workspace: Callable[[str], Workspace],
    post: Callable[..., Any],
) -> None:
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/")
    event_id = post(EVENT).json["id"]

    shown = client.get(f"/api/v1/events/{event_id}", headers=workspace.headers).json
    assert shown["type"] == "batch-lifecycle"
    assert [row["endpoint_id"] for row in shown["deliveries"]] == [endpoint_id]
    assert shown["deliveries"][0]["state"] == "pending"
    foreign = client.get(f"/api/v1/events/{event_id}", headers=make_workspace("Other").headers)
    assert foreign.status_code == 404
    assert client.get("/api/v1/events/evt_none", headers=workspace.headers).status_code == 404


def test_the_catalog_is_served_with_schemas_and_examples(client: FlaskClient, workspace: Workspace) -> None:
    types = client.get("/api/v1/event-types", headers=workspace.headers).json["event_types"]
    assert len(types) == 19
    assert all(item["schema"] and item["example"] and item["description"] for item in types)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("get", "/api/v1/nothing", 404), ("get", "/api/v1/events", 405)]
)
def test_errors_of_the_framework_have_the_same_shape(
    client: FlaskClient, workspace: Workspace, method: str, path: str, status: int
) -> None:
    response = getattr(client, method)(path, headers=workspace.headers)
    assert response.status_code == status
    assert set(response.json["error"]) == {"code", "message", "field"}


_LOCKING = {
    "sqlite": "UPDATE workspaces SET name = name",
    "postgresql": "LOCK TABLE events IN ACCESS EXCLUSIVE MODE",
}


@pytest.mark.parametrize("database_limits", [DatabaseLimits(lock_seconds=0.3)], indirect=True)
def test_a_locked_database_gives_503_in_time_and_nothing_is_accepted(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    with database.begin() as blocker:
        if database.dialect.name == "postgresql":  # ends a wait that nothing else would end
            blocker.execute(text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
        blocker.execute(text(_LOCKING[database.dialect.name]))
        began = time.monotonic()
        blocked = client.post("/api/v1/events", json=EVENT, headers=workspace.headers)
        seconds = time.monotonic() - began
    assert blocked.status_code == 503
    assert blocked.headers["Retry-After"] == "1"
    assert 0.3 <= seconds < 30
    assert count(Event) == 0
    workspace.send()
    assert count(Event) == 1


@pytest.mark.parametrize("database_limits", [DatabaseLimits(pool_seconds=0.2)], indirect=True)
def test_no_connection_left_gives_503_in_time(client: FlaskClient, workspace: Workspace) -> None:
    with ExitStack() as held:
        with suppress(PoolTimeout):
            while True:
                held.enter_context(db.engine.connect())
        blocked = client.post("/api/v1/events", json=EVENT, headers=workspace.headers)
    assert (blocked.status_code, blocked.json["error"]["code"]) == (503, "unavailable")
    workspace.send()
    assert count(Event) == 1


def test_redis_down_is_still_a_fast_202(workspace: Workspace, app: Flask, database: WriteDatabase) -> None:
    services(app).wake_ups = WakeUps("redis://127.0.0.1:9")
    workspace.endpoint("http://127.0.0.1:9/")
    started = time.monotonic()
    workspace.send()
    assert time.monotonic() - started < 5
    assert count(PendingDelivery) == 1
