"""One field leads to what an id, a value or a name means, in this workspace only."""

import re

import pytest

from tests.conftest import Workspace
from tests.reading import captured
from tests.web.conftest import Page
from tests.web.deliveries import newest
from webhooks_app.core import ids


def found(page: Page, q: str) -> list[tuple[str, str]]:
    """Kind and label of what is found."""
    answer = page.fragment(f"/w/{captured(r'/w/([^/]+)', page.base)}/find/?q={q}")
    assert answer.status_code == 200
    links = re.findall(r"<li><a href=\"[^\"]*\"><span>(.*?)</span><small>(.*?)</small>", answer.text)
    return [(kind, label) for label, kind in links]


def test_an_id_leads_to_what_bears_it(viewer_page: Page, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/", name="Orders")
    [event_id] = workspace.send()
    delivery = newest()

    assert found(viewer_page, delivery.id) == [("Delivery", "batch-lifecycle to Orders")]
    assert found(viewer_page, ids.attempt_id(delivery.id, 1)) == [("Delivery", "batch-lifecycle to Orders")]
    assert len(found(viewer_page, ids.attempt_id(delivery.id, 1)[:-4] + "abcd")) == 1
    assert found(viewer_page, event_id) == [("Event", "batch-lifecycle, all its deliveries")]
    assert found(viewer_page, endpoint_id) == [("Endpoint", "Orders")]
    assert found(viewer_page, ids.new("dlv")) == []


def test_a_value_a_name_and_a_page_are_found_in_any_case(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/", name="Batch_7Q2M loader")
    workspace.send(1, batch_id="batch_7Q2M")

    assert found(admin_page, "BATCH_7q2m") == [
        ("Deliveries", "Deliveries about BATCH_7q2m"),
        ("Endpoint", "Batch_7Q2M loader"),
        ("Search", "Payloads that hold “BATCH_7q2m”"),
    ]
    assert ("Event type", "api-key-creation") in found(admin_page, "API-KEY")
    assert ("Page", "Audit log") in found(admin_page, "audit")
    assert ("Page", "Add endpoint") in found(admin_page, "add")


def test_viewers_are_led_to_nothing_that_they_may_not_do(viewer_page: Page) -> None:
    assert [label for _, label in found(viewer_page, "add endpoint")] == ["Payloads that hold “add endpoint”"]
    assert ("Page", "Deliveries") in found(viewer_page, "")


@pytest.mark.parametrize("q", ["att_x", "att_", "dlv_", "evt_1", "x" * 500, "%", "<b>", "att_" + "0" * 30])
def test_what_means_nothing_breaks_nothing(admin_page: Page, home: str, q: str) -> None:
    answer = admin_page.get(f"{home}find/", query_string={"q": q})
    assert answer.status_code == 200
    assert "<b>" not in answer.text.partition("</form>")[2].replace("<b>Acme", "")


def test_another_workspaces_things_are_not_found(
    workspace: Workspace, stranger_page: Page, anonymous_page: Page, home: str
) -> None:
    endpoint_id = workspace.endpoint("https://a.example.com/", name="Orders")
    [event_id] = workspace.send(1, batch_id="batch_7Q2M")
    other = captured(r"/w/(\w+)/", stranger_page.get("/").location)
    assert anonymous_page.get(f"{home}find/").status_code == 302
    assert stranger_page.get(f"{home}find/?q=x").status_code == 404
    for q in (newest().id, event_id, endpoint_id, "Orders", "batch_7Q2M"):
        text = stranger_page.fragment(f"/w/{other}/find/?q={q}").text
        assert re.findall(r"<small>(.*?)</small>", text) in ([], ["Search"])
