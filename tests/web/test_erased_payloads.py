"""What a person and a program see of a delivery whose payload was erased."""

import csv
import html
import io
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.reading import json_of
from tests.web.api.conftest import Api, new_api
from tests.web.conftest import Page
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import Delivery, Event
from webhooks_app.deliveries import retention
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.extensions import db


@pytest.fixture
def erased(failed: str, databases: Databases) -> str:
    """A delivery that was given up a month ago."""
    assert retention.delete_expired(databases, now=clock.now() + timedelta(days=31)).payloads == 1
    db.session.rollback()
    return failed


@pytest.fixture
def api(workspace: Workspace) -> Api:
    return new_api(workspace)


def readable(page: Page, url: str) -> str:
    return " ".join(html.unescape(page.get(url).text).split())


def test_its_row_and_its_page_say_so_and_offer_nothing_that_needs_it(erased: str, admin_page: Page) -> None:
    for url in (f"deliveries/?open={erased}", f"deliveries/{erased}"):
        text = readable(admin_page, url)
        assert "Payload erased on" in text
        assert "(kept 30 days)" in text
        assert "Its payload was erased, so it cannot be replayed." in text
        for gone in (
            "Copy as curl",
            f"{erased}/replay",
            ">Compare",
            "Exactly as sent",
            "afresh",
            "gone</pre>",
        ):
            assert gone not in text, (url, gone)


def test_what_was_erased_before_its_time_names_no_time(
    failed: str, databases: Databases, admin_page: Page
) -> None:
    with databases.write.begin() as connection:
        event_ids = list(connection.scalars(select(Event.id)))
        payload_rows.erase_bodies(connection, event_ids, now=clock.now())
    assert "(kept" not in readable(admin_page, f"deliveries/{failed}")


def test_the_comparison_says_what_is_missing(erased: str, admin_page: Page) -> None:
    text = readable(admin_page, f"deliveries/{erased}/compare")
    assert text.count("Erased with the payload.") == 3  # request, response headers and body


def test_a_replay_is_refused_with_the_reason(erased: str, admin_page: Page, home: str) -> None:
    answer = admin_page.post(f"deliveries/{erased}/replay")
    assert "The payload was erased, so there is nothing left to send." in html.unescape(
        admin_page.get(answer.location).text
    )
    several = admin_page.post("deliveries/replay", {"delivery": erased})
    assert "1 left out: The payload was erased" in admin_page.get(several.location).text
    assert admin_page.post(f"deliveries/{erased}/command").status_code == 404


def test_a_command_made_before_signs_nothing_any_more(
    failed: str, admin_page: Page, databases: Databases
) -> None:
    command = html.unescape(admin_page.post(f"deliveries/{failed}/command").text)
    grant = command.split("grant=")[1].split()[0]
    retention.delete_expired(databases, now=clock.now() + timedelta(days=31))
    answer = admin_page.app.test_client().post("/signed-delivery", data={"grant": grant})
    assert answer.status_code == 403


def test_exports_say_since_when(erased: str, admin_page: Page) -> None:
    erased_at = clock.format_rfc3339(db.session.scalars(select(Event.payload_erased_at)).one() or clock.now())
    [row] = csv.DictReader(io.StringIO(admin_page.get("deliveries/export?format=csv").text))
    assert row["payload_erased_at"] == erased_at
    shown = json_of(admin_page.get(f"deliveries/{erased}/json"))
    assert (shown["payload"], shown["payload_erased_at"]) == ("", erased_at)


def test_the_api_says_since_when_and_refuses_a_replay(erased: str, api: Api) -> None:
    shown = api.read(f"/deliveries/{erased}")
    assert (shown["payload"], bool(shown["payload_erased_at"])) == ("", True)
    event = api.read(f"/events/{shown['event_id']}")
    assert (event["body"], event["payload_erased_at"]) == ("", shown["payload_erased_at"])
    [attempt] = api.read(f"/deliveries/{erased}/attempts")["data"]
    assert (attempt["status"], attempt["response_body"], attempt["response_headers"]) == (410, "", "")
    assert api.refusal("POST", f"/deliveries/{erased}/replay") == (409, "payload_erased", None)
    assert db.session.get_one(Delivery, erased).attempt_count == 1


@pytest.mark.parametrize("number", ["1", "1.50"])
def test_a_repeat_under_its_idempotency_key_is_answered_as_before(
    workspace: Workspace, databases: Databases, api: Api, number: str
) -> None:
    def send(size: str) -> tuple[int, str]:
        body = f'{{"type":"batch-lifecycle","data":{{"batch_id":"b1","status":"succeeded","size":{size}}}}}'
        headers = {**workspace.headers, "Idempotency-Key": "k1", "Content-Type": "application/json"}
        answer = workspace.app.test_client().post("/api/v1/events", data=body, headers=headers)
        return answer.status_code, json_of(answer).get("id", "")

    first = send(number)
    assert retention.delete_expired(databases, now=clock.now() + timedelta(days=31)).payloads == 1
    assert send(number) == first
    assert send("77")[0] == 409
