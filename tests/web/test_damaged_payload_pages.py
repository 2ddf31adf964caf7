"""What a person and a program see of a delivery whose stored payload is damaged."""

import html

import pytest
from sqlalchemy import update

from tests.conftest import Workspace
from tests.reading import captured, json_of
from tests.receivers import Answer, Receiver
from tests.web.api.conftest import new_api
from tests.web.conftest import Page
from tests.web.deliveries import newest
from tests.worker.attempted import damage, damage_text, exchange
from webhooks_app.core.outcome_descriptions import DESCRIPTIONS
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Attempt, AttemptRollup, Delivery, EndpointHealth, TrafficCount
from webhooks_app.worker.engine import DeliveryEngine

KEY = "the-key"
BODY = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded", "share": 0.5}}


@pytest.fixture
def damaged(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase) -> str:
    """The id of an event that was accepted under a key and could not be sent."""
    workspace.endpoint(receiver.url)
    event_id = _send(workspace)
    damage(database, event_id)
    engine.run(seconds=60)
    return event_id


def _send(workspace: Workspace) -> str:
    headers = workspace.headers | {"Idempotency-Key": KEY}
    response = workspace.app.test_client().post("/api/v1/events", json=BODY, headers=headers)
    assert response.status_code == 202, response.text
    return str(json_of(response)["id"])


def test_its_pages_say_so(damaged: str, admin_page: Page) -> None:
    row = newest().id
    for url in (f"deliveries/?open={row}", f"deliveries/{row}"):
        text = html.unescape(admin_page.get(url).text)
        assert "The stored payload is damaged, so it can be neither shown nor sent." in text
        assert DESCRIPTIONS[OutcomeClass.PAYLOAD].reason in text
        for gone in ("Copy as curl", "Exactly as sent", "application/json, ", "afresh"):
            assert gone not in text, (url, gone)
    assert json_of(admin_page.get(f"deliveries/{row}/json"))["payload"] == ""


def test_a_search_finds_the_others(damaged: str, workspace: Workspace, admin_page: Page) -> None:
    [other] = workspace.send(1, note="needle")
    assert f"{newest().id}" in admin_page.get("deliveries/?q=needle").text
    assert newest().event_id == other


def test_programs_get_it_without_its_body(damaged: str, workspace: Workspace) -> None:
    api, delivery_id = new_api(workspace), newest().id
    event = api.read(f"/events/{damaged}")
    assert (event["body"], event["payload_erased_at"]) == ("", None)
    assert event["deliveries"][0]["last_outcome"] == "payload"
    assert api.read(f"/deliveries/{delivery_id}")["last_outcome"] == "payload"


@pytest.mark.parametrize("kind", ["no text", "another event's"])
def test_neither_what_is_no_text_nor_what_is_another_events_is_shown(
    workspace: Workspace, receiver: Receiver, database: WriteDatabase, admin_page: Page, kind: str
) -> None:
    workspace.endpoint(receiver.url)
    other, event_id = workspace.send(2)
    if kind == "no text":
        damage_text(database, event_id)
    else:
        exchange(database, other, event_id)
    assert new_api(workspace).read(f"/events/{event_id}")["body"] == ""
    row = newest().id
    for url in (f"deliveries/?open={row}", f"deliveries/{row}"):
        text = html.unescape(admin_page.get(url).text)
        assert "The stored payload is damaged, so it can be neither shown nor sent." in text
    assert json_of(admin_page.get(f"deliveries/{row}/json"))["payload"] == ""


def test_nothing_of_it_is_signed_afresh(damaged: str, admin_page: Page, anonymous_page: Page) -> None:
    text = html.unescape(admin_page.post(f"deliveries/{newest().id}/command", fragment=True).text)
    grant = captured(r"grant=(\S+)", text)
    answer = anonymous_page.post("/signed-delivery", {"grant": grant}, csrf=False)
    assert answer.status_code == 403


def test_the_event_sent_again_under_its_key_is_the_same(damaged: str, workspace: Workspace) -> None:
    assert _send(workspace) == damaged


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_outcome_that_only_a_newer_version_knows_stops_no_page(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    admin_page: Page,
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(500)
    engine.run(seconds=60)
    with database.begin() as connection:
        connection.execute(update(Delivery).values(last_outcome="newer", last_status=None))
        connection.execute(update(Attempt).values(outcome="newer", status=None))
        connection.execute(update(AttemptRollup).values(outcome="newer"))
        connection.execute(update(TrafficCount).values(name="newer"))
        health = update(EndpointHealth)
        connection.execute(health.values(last_failure_outcome="newer", last_failure_status=None))
    row = newest().id
    reason = DESCRIPTIONS[OutcomeClass.PLATFORM].reason
    assert reason in html.unescape(admin_page.get(f"deliveries/{row}").text)
    for url in ("deliveries/", f"deliveries/?open={row}", f"endpoints/{endpoint_id}", "", "traffic/"):
        assert admin_page.get(url).status_code == 200, url


@pytest.mark.parametrize("stored", [b"\3", b"\3\1\0", b"\x63"])
def test_damaged_headers_of_an_attempt_stop_no_page(
    workspace: Workspace,
    receiver: Receiver,
    engine: DeliveryEngine,
    database: WriteDatabase,
    admin_page: Page,
    stored: bytes,
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    engine.run(seconds=60)
    row = newest().id
    [attempt] = json_of(admin_page.get(f"deliveries/{row}/json"))["attempts"]
    assert attempt["headers_are_damaged"] is False
    assert "Copy as curl" in admin_page.get(f"deliveries/{row}").text
    with database.begin() as connection:
        connection.execute(update(Attempt).values(packed_heads=stored))
    text = admin_page.get(f"deliveries/{row}").text
    assert "The stored headers are damaged, so not all of them can be shown." in text
    [attempt] = json_of(admin_page.get(f"deliveries/{row}/json"))["attempts"]
    assert (attempt["request_headers"], attempt["response_headers"]) == ([], "")
    read = new_api(workspace).read(f"/deliveries/{row}/attempts")["data"][0]
    assert read["status"] == 200
    assert attempt["headers_are_damaged"] is read["headers_are_damaged"] is True
    assert "Copy as curl" not in text
    attempt_id = attempt["id"]
    compared = admin_page.get(f"deliveries/{row}/compare?left={attempt_id}&right={attempt_id}").text
    assert "The stored headers of both are damaged, so not all of them can be compared." in compared
    assert compared.count("None that can be read.") == 2  # for requests and responses
    assert "Neither got a response." not in compared
