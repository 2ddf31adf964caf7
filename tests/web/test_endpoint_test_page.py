"""The Test tab: an event of one's own, shown signed or sent."""

import html
import json
import re
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from tests.conftest import TESTER, Workspace
from tests.events.test_schema_violations import example_of
from tests.reading import captured
from tests.receivers import Receiver
from tests.web.conftest import Page
from tests.web.endpoints import EXAMPLE, URL, audited_actions, error_at, load, states
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Event
from webhooks_app.endpoints import signing_secrets
from webhooks_app.extensions import db, services
from webhooks_app.worker.engine import DeliveryEngine


def test_a_test_event_goes_to_this_endpoint_alone(
    admin_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url, name="Another")
    endpoint_id = workspace.endpoint(
        f"{receiver.url}/mine", all_events=False, event_types=["api-key-creation"]
    )

    response = admin_page.post(
        f"endpoints/{endpoint_id}/test", {"event_type": "batch-lifecycle", "data": EXAMPLE}
    )

    db.session.rollback()
    delivery = db.session.scalars(select(Delivery)).one()
    assert response.status_code == 303
    assert delivery.id in response.location
    assert "endpoint.test" in audited_actions()
    engine.run(seconds=60)
    [request] = receiver.received
    assert request.path.endswith("/mine")
    assert json.loads(request.body)["data"] == json.loads(EXAMPLE)
    assert json.loads(EXAMPLE)["batch_id"] in (db.session.scalars(select(Event.indexed_values)).one() or ())
    db.session.rollback()
    db.session.expire_all()
    assert db.session.scalars(select(Delivery)).one().state is DeliveryState.DELIVERED


def test_a_test_events_numbers_go_out_as_typed(admin_page: Page, endpoint_id: str) -> None:
    typed = (
        '{\r\n  "batch_id": "b \\u00e4",\r\n  "status": "queued", "n": [3.14159265358979323846, 1e-400]\r\n}'
    )

    admin_page.post(f"endpoints/{endpoint_id}/test", {"event_type": "batch-lifecycle", "data": typed})

    body = db.session.scalars(select(Event.body)).one()
    assert body.endswith(
        b'"data":{"batch_id":"b \\u00e4","status":"queued","n":[3.14159265358979323846,1e-400]}}'
    )


def test_the_form_starts_with_the_example_of_a_subscribed_event(
    admin_page: Page, workspace: Workspace
) -> None:
    endpoint_id = workspace.endpoint(URL, all_events=False, event_types=["api-key-deletion"])

    page = admin_page.get(f"endpoints/{endpoint_id}/test").text

    assert example_in(page) == example_of("api-key-deletion")
    asked = admin_page.fragment(f"endpoints/{endpoint_id}/test?event_type=workspace-update").text
    assert asked.lstrip().startswith("<form")
    assert example_in(asked) == example_of("workspace-update")
    unknown = admin_page.get(f"endpoints/{endpoint_id}/test?event_type=nonsense").text
    assert "api-key-deletion" in unknown


def example_in(page: str) -> Any:
    return json.loads(html.unescape(captured(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ("NaN", "NaN is not a JSON number"),
        ('{"status": "succeeded"}', "data.batch_id is required"),
        ('{"batch_id": "b", "status": "<b>"}', "data.status must be one of"),
        ('{"batch_id": "\\u0000", "status": "succeeded"}', "NUL"),
        ('{"batch_id": "' + "x" * 300_000 + '", "status": "succeeded"}', "256 KiB"),
    ],
)
def test_data_that_no_app_could_send_is_refused(
    admin_page: Page, endpoint_id: str, data: str, words: str
) -> None:
    response = admin_page.post(
        f"endpoints/{endpoint_id}/test", {"event_type": "batch-lifecycle", "data": data}
    )

    assert response.status_code == 422
    assert words in error_at(response.text, "data")
    assert data in html.unescape(response.text)
    assert "<b>" not in (re.search(r"<textarea.*?</textarea>", response.text, re.DOTALL) or [""])[0]
    assert db.session.scalars(select(Event)).all() == []


def test_an_unknown_event_is_refused(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.post(f"endpoints/{endpoint_id}/test", {"event_type": "nope", "data": "{}"})

    assert response.status_code == 422
    assert "no such event" in error_at(response.text, "event_type")


def test_nothing_is_sent_to_a_disabled_endpoint(admin_page: Page, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")

    response = admin_page.post(
        f"endpoints/{endpoint_id}/test", {"event_type": "batch-lifecycle", "data": EXAMPLE}
    )

    assert "disabled, so nothing was sent" in admin_page.get(response.location).text
    assert db.session.scalars(select(Event)).all() == []


def test_a_test_events_request_is_shown_signed_and_nothing_is_sent(
    admin_page: Page, endpoint_id: str, database: WriteDatabase, workspace: Workspace
) -> None:
    data = {
        "event_type": "batch-lifecycle",
        "data": '{"batch_id": "b<b>", "status": "queued"}',
        "preview": "1",
    }
    for fragment in (True, False):
        shown = admin_page.post(f"endpoints/{endpoint_id}/test", data, fragment=fragment)
        assert shown.status_code == 200
        text = html.unescape(captured(r'<pre id="signed-request"[^>]*>(.*?)</pre>', shown.text, re.S))
        head, _, body = text.partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        cipher = services(workspace.app).cipher
        [secret] = signing_secrets.reveal(database, cipher, load(endpoint_id), actor=TESTER)
        assert Webhook(secret).verify(body.encode(), headers)["data"]["batch_id"] == "b<b>"
    assert states() == []
    wrong = admin_page.post(f"endpoints/{endpoint_id}/test", data | {"data": "{"})
    assert (wrong.status_code, "signed-request" in wrong.text) == (422, False)
