"""Signed requests as a real receiver gets them, and as the log keeps them."""

import json
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update
from standardwebhooks import Webhook

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.worker.attempted import attempts, deliveries
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    DeliveryState,
    Endpoint,
    SigningSecret,
)
from webhooks_app.endpoints import signing_secrets
from webhooks_app.endpoints.destinations import Destination
from webhooks_app.extensions import db, services
from webhooks_app.worker import signed_requests
from webhooks_app.worker.engine import DeliveryEngine

pytestmark = pytest.mark.usefixtures("queue_matches_states")


def test_an_accepted_event_arrives_signed(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    [event_id] = workspace.send()

    engine.run(seconds=60)

    [request] = receiver.received
    endpoint = db.session.get_one(Endpoint, endpoint_id)
    [secret] = signing_secrets.reveal(database, services(app).cipher, endpoint, actor=TESTER)
    payload = Webhook(secret).verify(request.body, request.headers)
    assert payload["id"] == event_id
    assert payload["type"] == "batch-lifecycle"
    assert payload["workspace_id"] == workspace.id
    assert payload["timestamp"].endswith("Z")
    assert list(payload) == ["id", "type", "timestamp", "workspace_id", "data"]
    [delivery] = deliveries()
    assert request.headers["webhook-id"] == delivery.id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Avra-Webhooks/")
    assert not {"accept", "expect"} & set(request.headers)
    assert (delivery.state, delivery.attempt_count, delivery.last_status) == (DeliveryState.DELIVERED, 1, 200)
    assert delivery.next_attempt_at is None
    assert delivery.finished_at is not None


def test_the_attempt_is_logged_as_it_was(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, headers=[("X-Tenant", "s3cret")])
    workspace.send()
    receiver.answer = Answer(201, b"\x00\xff made", {"X-Trace": "abc"})

    engine.run(seconds=60)

    [attempt] = attempts()
    assert (attempt.outcome, attempt.status, attempt.detail) == ("success", 201, None)
    assert attempt.response_body == b"\x00\xff made"
    assert attempt.response_headers is not None
    assert b"X-Trace: abc" in attempt.response_headers
    assert attempt.remote_address == "127.0.0.1"
    assert 0 < attempt.connect_us <= attempt.first_byte_us <= attempt.total_us
    headers = dict(json.loads(attempt.request_headers))
    assert headers["webhook-signature"] == receiver.received[0].headers["webhook-signature"]
    origin = receiver.url.removeprefix("http://").removesuffix("/hooks")
    assert (headers[":method"], headers[":scheme"], headers[":authority"]) == ("POST", "http", origin)
    assert headers[":path"] == "/hooks"
    assert receiver.received[0].headers["x-tenant"] == "s3cret"
    assert "s3cret" not in attempt.request_headers


def test_an_endpoint_may_have_its_own_user_agent(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, headers=[("User-Agent", "Billing/2")])
    workspace.send()
    engine.run(seconds=60)

    assert receiver.received[0].headers["user-agent"] == "Billing/2"
    [attempt] = attempts()
    assert attempt.request_headers.lower().count("user-agent") == 1


def test_a_header_from_before_its_name_was_reserved_is_not_sent(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    own = [("webhook_signature", "v1,forged"), ("X-Tenant", "acme"), ("Transfer_Encoding", "chunked")]
    workspace.endpoint(receiver.url, headers=own)
    workspace.send()

    engine.run(seconds=60)

    [request] = receiver.received
    assert request.headers["x-tenant"] == "acme"
    assert not {"webhook_signature", "transfer_encoding"} & {name.lower() for name in request.headers}
    [attempt] = attempts()
    assert "webhook_signature" not in attempt.request_headers


def test_both_secrets_sign_during_the_overlap(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    cipher = services(app).cipher
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(receiver.url))
    [old] = signing_secrets.reveal(database, cipher, endpoint, actor=TESTER)
    signing_secrets.rotate(database, cipher, endpoint, overlap=timedelta(hours=1), actor=TESTER)
    new, also = signing_secrets.reveal(database, cipher, endpoint, actor=TESTER)
    assert also == old != new

    workspace.send()
    engine.run(seconds=60)
    [request] = receiver.received
    assert request.headers["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)

    signing_secrets.rotate(database, cipher, endpoint, overlap=timedelta(0), actor=TESTER)
    assert len(signing_secrets.reveal(database, cipher, endpoint, actor=TESTER)) == 1


def test_an_unreadable_secret_sends_nothing(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    good, bad = workspace.endpoint(receiver.url), workspace.endpoint(receiver.url)
    stolen = select(SigningSecret.ciphertext).where(SigningSecret.endpoint_id == good).scalar_subquery()
    with database.begin() as connection:
        connection.execute(
            update(SigningSecret).where(SigningSecret.endpoint_id == bad).values(ciphertext=stolen)
        )
    workspace.send()

    engine.run(seconds=60)

    outcomes = {delivery.endpoint_id: delivery.last_outcome for delivery in deliveries()}
    assert outcomes == {good: "success", bad: "secret"}
    assert len(receiver.received) == 1
    headers = {attempt.outcome: json.loads(attempt.request_headers) for attempt in attempts()}
    assert headers["secret"] == []


def test_no_header_that_libcurl_adds_by_itself_is_sent() -> None:
    """It would ask for a 100 before a larger body (Expect), and names what it accepts."""
    destination = Destination("http://127.0.0.1:9/", 1000, (), (), "", None)
    request, _ = signed_requests.sign("dlv_1", destination, [], b"{}", now=clock.now())
    assert {"Accept:", "Expect:"} < set(request.headers)


def test_a_preview_shows_what_a_delivery_would_carry(
    app: Flask, workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/", headers=[("X-Tenant", "s3cret")])
    with database.begin() as connection:
        headers = signed_requests.preview(
            connection, services(app).cipher, endpoint_id, delivery_id="dlv_1", body=b"{}", now=clock.now()
        )

    assert headers[:2] == [("content-type", "application/json"), ("webhook-id", "dlv_1")]
    assert {"webhook-timestamp", "webhook-signature", "X-Tenant"} < {name for name, _ in headers}
    assert "s3cret" not in str(headers)
    assert [name for name, _ in headers if ":" in name] == []  # as HTTP/2 would spell the first line


def test_of_no_events_there_are_no_bodies(databases: Databases) -> None:
    with databases.read.connect() as connection:
        assert signed_requests.bodies(connection, []) == {}
