"""Event types that left the catalog: subscriptions and deliveries stay readable, and pages say so."""

import pytest
from flask import Flask

from tests.accepting import accept_events
from tests.conftest import Workspace
from tests.reading import json_of
from tests.web.conftest import Page
from tests.web.endpoints import URL
from webhooks_app.db.models import Delivery, Endpoint
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db, services

LEFT = "order.paid"


@pytest.fixture
def endpoint_id(workspace: Workspace) -> str:
    """An endpoint that subscribes to a type that has left the catalog, and to one that has not."""
    return workspace.endpoint(URL, all_events=False, event_types=[LEFT, "batch-request"])


@pytest.fixture
def delivery_id(workspace: Workspace, endpoint_id: str) -> str:
    """A delivery of an event that was accepted while the type was there."""
    event = NewEvent.of(LEFT, {"order_id": "o_1"}, ["o_1"])
    accept_events(services().write, services().wake_ups, workspace.id, [event])
    found = db.session.query(Delivery.id).filter_by(endpoint_id=endpoint_id).one()
    return str(found.id)


def test_the_catalog_page_lists_it_with_who_subscribes(admin_page: Page, endpoint_id: str) -> None:
    left = admin_page.get("catalog/").text.partition("No longer in the catalog")[2]
    assert f'id="{LEFT}"' in left and "1 endpoint</a>" in left and "batch-request" not in left
    assert endpoint_id in admin_page.get(f"?event={LEFT}").text


def test_the_catalog_page_says_nothing_where_none_left(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint(URL)
    assert "No longer in the catalog" not in admin_page.get("catalog/").text


def test_its_deliveries_are_shown_and_found(admin_page: Page, delivery_id: str) -> None:
    assert "no longer in the catalog" in admin_page.get(f"deliveries/{delivery_id}").text
    log = admin_page.get(f"deliveries/?event_type={LEFT}").text
    assert delivery_id in log
    assert f'<option value="{LEFT}" selected>{LEFT} (not in the catalog)</option>' in log


def test_the_endpoint_says_how_many_left(admin_page: Page, endpoint_id: str) -> None:
    text = " ".join(admin_page.get(f"endpoints/{endpoint_id}").text.split())
    assert f"1 of {len(services().catalog.names)} and 1 no longer in the catalog" in text


def test_the_form_keeps_it_and_lets_go_of_it(admin_page: Page, endpoint_id: str) -> None:
    page = admin_page.get(f"endpoints/{endpoint_id}/settings").text
    assert f'name="events" value="{LEFT}" checked' in page

    def save(*events: str) -> int:
        form = {"url": URL, "name": "Orders", "scope": "chosen", "events": list(events), "timeout": "5"}
        return admin_page.post(f"endpoints/{endpoint_id}/settings", form).status_code

    assert save(LEFT, "batch-request", "api-key-creation") == 303
    assert event_types(endpoint_id) == ["api-key-creation", "batch-request", LEFT]
    assert save(LEFT, "order.sent") == 422
    assert save("batch-request") == 303
    assert save(LEFT) == 422


def test_the_test_page_says_that_it_left(admin_page: Page, endpoint_id: str) -> None:
    text = " ".join(admin_page.get(f"endpoints/{endpoint_id}/test").text.split())
    assert f"<code>{LEFT}</code> is no longer in the catalog, so no event of it can be sent." in text
    form = {"event_type": LEFT, "data": "{}"}
    assert admin_page.post(f"endpoints/{endpoint_id}/test", form).status_code == 422


def test_the_api_refuses_new_events_by_name(app: Flask, workspace: Workspace) -> None:
    def refusal(path: str, body: object) -> dict[str, str]:
        response = app.test_client().post(f"/api/v1/{path}", json=body, headers=workspace.headers)
        assert response.status_code == 422
        error: dict[str, str] = json_of(response)["error"]
        return error

    event = {"type": LEFT, "data": {}}
    message = "“order.paid” is not in the catalog; see /api/v1/event-types."
    assert refusal("events", event)["message"] == message
    assert refusal("events/batch", {"events": [event]})["message"] == message
    hint = "did you mean “batch-lifecycle”? All are at /api/v1/event-types."
    near = f"“batch-livecycle” is not in the catalog; {hint}"
    misspelt = event | {"type": "batch-livecycle"}
    assert refusal("events", misspelt)["message"] == near
    assert refusal("events/batch", {"events": [misspelt]})["message"] == near
    assert refusal("events", event | {"type": "<script>"})["message"].startswith("This type is not in")


def event_types(endpoint_id: str) -> list[str]:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Endpoint, endpoint_id).event_types
