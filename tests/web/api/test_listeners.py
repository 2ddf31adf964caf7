"""Listeners over the API: endpoints whose deliveries a program fetches and reports on."""

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from standardwebhooks import Webhook

from tests.conftest import Workspace, new_workspace
from tests.reading import json_of
from tests.receivers import Receiver
from tests.web.api.conftest import Api, new_api
from tests.web.api.listening import FORWARD_TO, Listening, fall_silent, listen, report_of
from tests.web.deliveries import newest, state
from tests.web.endpoints import audited_actions, load
from tests.worker.attempted import attempts, deliveries, make_due
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import AuditEntry, DeliveryState, Listener, Notice
from webhooks_app.deliveries import retention
from webhooks_app.endpoints.destinations import Destinations
from webhooks_app.extensions import db, services
from webhooks_app.jobs import alarms
from webhooks_app.listeners import ending
from webhooks_app.monitoring import backlog
from webhooks_app.worker import claims, unsendable_deliveries
from webhooks_app.worker.engine import DeliveryEngine


def test_what_is_due_comes_as_a_worker_would_send_it(api: Api, workspace: Workspace) -> None:
    listening = listen(api)
    workspace.send(2, note="é, 日本")
    first, second = listening.claim()
    for request in (first, second):
        headers = dict(request["headers"])
        body = Webhook(listening.started["secret"]).verify(request["body"].encode(), headers)
        assert (body["id"], headers["webhook-id"]) == (request["event_id"], request["delivery_id"])
        assert headers["content-type"] == "application/json"
        assert headers["user-agent"].startswith("Avra-Webhooks/")
        assert request["body"].encode() == deliveries()[0].event.body.replace(
            deliveries()[0].event_id.encode(), request["event_id"].encode()
        )
    assert first["event_id"] < second["event_id"]
    assert listening.claim() == []  # they are in its hands


def test_what_was_answered_is_in_the_log(api: Api, workspace: Workspace) -> None:
    listening = listen(api)
    workspace.send(2)
    good, bad = listening.claim()
    assert listening.report(good)["state"] == "delivered"
    refused = listening.report(
        bad, 503, response_headers=[["Retry-After", "7200"], ["X-Trace", "a\r\nb"]], first_byte_us=10_000
    )
    assert (refused["outcome"], refused["state"], refused["is_current"]) == ("http_5xx", "pending", True)
    assert listening.report(bad, 503)["state"] == "pending"  # repeated, as its answer was lost

    [attempt] = api.read(f"/deliveries/{bad['delivery_id']}/attempts")["data"]
    assert (attempt["status"], attempt["duration_ms"], attempt["response_body"]) == (503, 12.0, "done")
    assert attempt["response_headers"].splitlines()[:3] == [
        "HTTP/1.1 503 Service Unavailable",
        "Retry-After: 7200",
        "X-Trace: a  b",
    ]
    assert dict(attempt["request_headers"]) == dict(bad["headers"])
    logged = dict(json.loads(attempts()[-1].request_headers))
    assert (logged[":authority"], logged[":path"]) == ("localhost:3000", "/hooks")
    delivery = api.read(f"/deliveries/{bad['delivery_id']}")
    assert (delivery["status"], delivery["last_status"]) == ("retrying", 503)


def test_a_server_that_does_not_answer_is_retried_by_the_schedule(
    api: Api, workspace: Workspace, database: WriteDatabase
) -> None:
    listening = listen(api)
    workspace.send()
    [request] = listening.claim()
    result = listening.report(request, None, failure="connect", detail="Connection\nrefused")
    assert (result["outcome"], result["state"]) == ("connect", "pending")
    assert listening.claim() == []
    make_due(database)
    [again] = listening.claim()
    assert (again["delivery_id"], again["attempt"]) == (request["delivery_id"], 2)
    assert dict(again["headers"])["webhook-id"] == request["delivery_id"]
    listening.report(again)
    assert [each.outcome for each in attempts()] == ["connect", "success"]


def test_no_worker_sends_to_a_listener_or_waits_for_it(
    api: Api, workspace: Workspace, engine: DeliveryEngine, receiver: Receiver, databases: Databases
) -> None:
    workspace.endpoint(receiver.url)
    listening = listen(api)
    workspace.send()
    assert engine.run(seconds=60).claimed == 1
    with databases.read.connect_autocommit() as connection:
        assert alarms.longest_overdue(connection, clock.now() + timedelta(hours=1)) is None
    assert backlog.sample_if_due(databases)
    with databases.read.connect_autocommit() as connection:
        assert [(each.pending, each.due) for each in backlog.read(connection)] == [(0, 0)]
    assert len(listening.claim()) == 1


def test_what_a_worker_claims_of_it_all_the_same_is_released_unsent(
    api: Api, workspace: Workspace, databases: Databases, app: Flask
) -> None:
    listening = listen(api)
    workspace.send()
    listener_id, now = listening.started["id"], clock.now()
    with databases.write.begin() as connection:
        claimed = claims.claim_due(connection, {listener_id: 5}, now=now, lease=timedelta(minutes=5))
    assert len(claimed) == 1
    with databases.read.connect_autocommit() as connection:
        loaded = Destinations(services(app).cipher, cache_size=5).load(connection, [listener_id])
    assert loaded[listener_id].not_accepting is DeliveryState.PENDING
    unsendable_deliveries.hold_or_cancel(databases.write, claimed, now=now)
    assert len(listening.claim()) == 1


def test_retention_leaves_it_its_secret_for_a_season(api: Api, databases: Databases) -> None:
    listening = listen(api)
    listening.end()
    soon, later = (clock.now() + timedelta(days=days) for days in (89, 91))
    assert retention.delete_expired(databases, now=soon).endpoints == 0
    assert listen(api).started["secret"] == listening.started["secret"]
    listen(api).end()
    assert retention.delete_expired(databases, now=later).endpoints == 1
    assert listen(api).started["secret"] != listening.started["secret"]


def test_it_counts_towards_no_health_and_is_never_disabled(api: Api, workspace: Workspace) -> None:
    listening = listen(api)
    workspace.send(4)
    for request in listening.claim():
        assert listening.report(request, 410)["outcome"] == "http_4xx"
    endpoint = load(listening.started["id"])
    assert endpoint.is_enabled
    assert (endpoint.health.failing_since, endpoint.health.failure_count) == (None, 0)
    assert db.session.scalars(select(Notice)).all() == []


def test_a_program_that_comes_back_has_its_secret_and_what_it_held(
    api: Api, workspace: Workspace, database: WriteDatabase
) -> None:
    before = listen(api)
    workspace.send()
    [held] = before.claim()
    after = listen(api, timeout_seconds=20)
    assert after.started["resumed"]
    assert {name: after.started[name] for name in ("id", "secret", "started_at")} == {
        name: before.started[name] for name in ("id", "secret", "started_at")
    }
    assert before.refusal() == (409, "listener_taken_over", None)
    [again] = after.claim()
    assert again["delivery_id"] == held["delivery_id"]
    # What the first one did in its last moment counts if it went well.
    assert before.report(held, 500)["is_current"] is False
    assert state(held["delivery_id"]) is DeliveryState.PENDING
    assert before.report(held)["is_current"] is False
    assert state(held["delivery_id"]) is DeliveryState.DELIVERED


def test_the_end_cancels_what_waits_and_keeps_the_log(
    api: Api, workspace: Workspace, engine: DeliveryEngine
) -> None:
    listening = listen(api)
    workspace.send(3)
    [done, *_] = listening.claim(1)
    listening.report(done)
    assert listening.end() == 2
    assert listening.end() == 0
    assert listening.refusal() == (410, "listener_ended", None)
    workspace.send()
    assert [each.state for each in deliveries()].count(DeliveryState.CANCELED) == 2
    delivery = api.read(f"/deliveries/{newest().id}")
    assert "listener it was for has ended" in delivery["explanation"]
    assert api.read("/listeners")["data"] == []
    replayed = api.refusal("POST", f"/deliveries/{newest().id}/replay")
    assert replayed == (409, "endpoint_deleted", None)
    assert engine.run(seconds=1).claimed == 0


def test_the_next_of_its_name_is_the_same_endpoint_and_is_reached_by_replay(
    api: Api, workspace: Workspace
) -> None:
    before = listen(api)
    workspace.send()
    before.end()
    after = listen(api)
    assert after.started["resumed"] is False
    assert (after.started["id"], after.started["secret"]) == (before.started["id"], before.started["secret"])
    assert after.claim() == []
    assert api.call("POST", f"/deliveries/{newest().id}/replay").status_code == 202
    [request] = after.claim()
    after.report(request)
    assert state(request["delivery_id"]) is DeliveryState.DELIVERED


def test_one_that_is_not_asked_for_ends(api: Api, workspace: Workspace, databases: Databases) -> None:
    listening = listen(api)
    workspace.send()
    assert ending.end_expired(databases, now=clock.now()) == 0
    fall_silent(databases.write)
    assert listening.refusal() == (410, "listener_ended", None)
    assert ending.end_expired(databases, now=clock.now()) == 1
    assert ending.end_expired(databases, now=clock.now()) == 0
    assert newest().state is DeliveryState.CANCELED
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "listener.end")).all()
    assert entry.actor == "platform"
    assert json.loads(entry.details) == {"reason": "nothing was heard of its program", "canceled": 1}


def test_one_that_was_silent_begins_anew_before_any_sweep(
    api: Api, workspace: Workspace, database: WriteDatabase
) -> None:
    listen(api)
    workspace.send()
    fall_silent(database)
    assert listen(api).started["resumed"] is False
    assert newest().state is DeliveryState.CANCELED
    assert audited_actions()[-3:] == ["listener.end", "listener.start", "secret.reveal"]


def test_asking_keeps_it(api: Api, database: WriteDatabase, workspace: Workspace) -> None:
    listening = listen(api)
    with database.begin() as connection:
        soon = clock.now() + timedelta(minutes=1)
        connection.execute(update(Listener).values(ends_at=soon))
    listening.claim()
    [known] = api.read("/listeners")["data"]
    assert known["ends_at"] > clock.format_rfc3339(soon + timedelta(minutes=5))


def test_events_of_the_past_fill_it_once(api: Api, workspace: Workspace, receiver: Receiver) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    sent = workspace.send(3)
    api.call("POST", f"/endpoints/{endpoint_id}/test", {"type": "batch-lifecycle"})
    listening = listen(api, since_seconds=7200)
    assert (listening.started["added"], listening.started["left_out"]) == (3, False)
    assert listen(api, since_seconds=7200).started["added"] == 0
    again = listen(api)
    first = again.claim()
    assert [each["event_id"] for each in first] == sent
    again.end()
    anew = listen(api, since_seconds=7200)
    assert anew.started["added"] == 3
    second = anew.claim()
    assert [each["event_id"] for each in second] == sent
    assert {each["delivery_id"] for each in first}.isdisjoint(each["delivery_id"] for each in second)
    other = listen(api, name="other", since_seconds=7200, event_types=["batch-request"])
    assert other.started["added"] == 0


def test_it_gets_the_types_that_it_asked_for_last(api: Api, workspace: Workspace) -> None:
    listen(api, event_types=["batch-request"])
    workspace.send()
    assert deliveries() == []
    listening = listen(api, event_types=["batch-lifecycle", "batch-request"])
    assert listening.started["event_types"] == ["batch-lifecycle", "batch-request"]
    workspace.send()
    assert len(listening.claim()) == 1


def test_a_test_event_reaches_it(api: Api) -> None:
    listening = listen(api)
    tested = api.call("POST", f"/endpoints/{listening.started['id']}/test", {"type": "batch-lifecycle"})
    [request] = listening.claim()
    assert (request["delivery_id"], request["is_test"]) == (json_of(tested)["delivery_id"], True)
    assert listening.report(request, 500)["state"] == "failed"


def test_it_is_no_endpoint_that_is_managed(api: Api, workspace: Workspace) -> None:
    listening = listen(api)
    path = f"/endpoints/{listening.started['id']}"
    assert api.read("/endpoints")["data"] == []
    assert api.read(path)["name"] == "Listener laptop"
    assert api.refusal("GET", "/endpoints/by-name/Listener%20laptop") == (404, "not_found", None)
    for method, below, body in (
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/disable", None),
        ("POST", "/enable", {}),
        ("POST", "/secrets/rotate", {}),
    ):
        answer = api.call(method, path + below, body)
        assert answer.status_code in (404, 405), (method, below)
    [known] = api.read("/listeners")["data"]
    assert (known["name"], known["token"]["name"], known["forward_to"]) == ("laptop", "robot", FORWARD_TO)


def test_only_its_token_has_it(api: Api, workspace: Workspace, stranger: Api, app: Flask) -> None:
    listening = listen(api)
    workspace.send()
    for other in (new_api(workspace), stranger):
        theirs = Listening(other, listening.started)
        assert theirs.refusal() == (404, "not_found", None)
        body = report_of({"delivery_id": newest().id, "claim": "1.1"})
        assert other.refusal("POST", f"{listening.path}/attempts", body) == (404, "not_found", None)
        assert other.refusal("DELETE", listening.path) == (404, "not_found", None)
    assert listen(new_api(workspace)).started["secret"] != listening.started["secret"]
    assert stranger.read("/listeners")["data"] == []
    assert len(listening.claim()) == 1


def test_it_needs_a_scope_of_its_own(workspace: Workspace) -> None:
    others = set(TokenScope) - {TokenScope.EVENTS_LISTEN}
    body = {"name": "laptop", "forward_to": FORWARD_TO}
    assert new_api(workspace, *others).refusal("POST", "/listeners", body)[:2] == (403, "insufficient_scope")
    assert listen(new_api(workspace, TokenScope.EVENTS_LISTEN)).claim() == []


def test_there_may_be_so_many(api: Api, workspace: Workspace) -> None:
    for number in range(20):
        listen(api, name=f"host-{number}")
    body = {"name": "one-more", "forward_to": FORWARD_TO}
    assert api.refusal("POST", "/listeners", body) == (409, "too_many_listeners", None)
    assert listen(api, name="host-3").started["resumed"]
    assert listen(new_api(new_workspace(workspace.app, "Third"))).started["resumed"] is False


def test_a_delivery_of_another_endpoint_is_not_reported_on(
    api: Api, workspace: Workspace, receiver: Receiver
) -> None:
    listening = listen(api, event_types=["batch-request"])
    workspace.endpoint(receiver.url)
    workspace.send()
    claim = f"1.{int(clock.now().timestamp() * 10**6)}"
    body = report_of({"delivery_id": newest().id, "claim": claim})
    refused = api.refusal("POST", f"{listening.path}/attempts", body)
    assert refused == (422, "invalid", "delivery_id")
    assert newest().state is DeliveryState.PENDING


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "My Laptop"}, "name"),
        ({"name": "laptop\n"}, "name"),
        ({"forward_to": "localhost:3000"}, "forward_to"),
        ({"forward_to": "http://[::1"}, "forward_to"),
        ({"forward_to": "http://a\u202eb/"}, "forward_to"),
        ({"event_types": ["no-such"]}, "event_types[0]"),
        ({"since_seconds": 0}, "since_seconds"),
        ({"timeout_seconds": 31}, "timeout_seconds"),
    ],
)
def test_what_is_wrong_with_it_is_said(api: Api, wrong: dict[str, Any], field: str) -> None:
    body = {"name": "laptop", "forward_to": FORWARD_TO} | wrong
    status, _, found = api.refusal("POST", "/listeners", body)
    assert (status, found) == (422, field)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"claim": "1"}, "claim"),
        ({"claim": "1.1"}, "claim"),
        ({"claim": f"1.{9 * 10**16}"}, "claim"),
        ({"status": 99}, "status"),
        ({"failure": "connect"}, "status"),
        ({"status": None, "failure": "platform"}, "failure"),
        ({"response_body_base64": "%"}, "response_body_base64"),
        ({"target": "ftp://a/"}, "target"),
        ({"total_us": -1}, "total_us"),
    ],
)
def test_what_is_wrong_with_a_report_is_said(
    api: Api, workspace: Workspace, wrong: dict[str, Any], field: str
) -> None:
    listening = listen(api)
    workspace.send()
    [request] = listening.claim()
    status, _, found = api.refusal("POST", f"{listening.path}/attempts", report_of(request) | wrong)
    assert (status, found) == (422, field)
    assert newest().attempt_count == 0
