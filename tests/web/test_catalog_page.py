"""The catalog page."""

import html
import re

import pytest

from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app.events.catalog import load

CATALOG = load()


def test_every_event_is_there_with_its_fields_and_example(admin_page: Page) -> None:
    page = admin_page.get("catalog/")

    assert page.status_code == 200
    for event_type in CATALOG.event_types:
        assert f'id="{event_type.name}"' in page.text
    assert "previous_status" in page.text
    assert "A batch input was deleted" in page.text
    assert "JSON Schema, draft 2020-12" in page.text


def test_it_says_who_subscribes(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/", name="Everything")
    workspace.endpoint(
        "http://127.0.0.1:9/", name="Just batches", all_events=False, event_types=["batch-lifecycle"]
    )

    text = admin_page.get("catalog/").text

    assert text.count(">2 endpoints</a>") == 1
    assert text.count(">1 endpoint</a>") == len(CATALOG.event_types) - 1
    [url] = re.findall(r'href="([^"]+)">2 endpoints</a>', text)
    listed = admin_page.client.get(html.unescape(url)).text
    assert ">Everything</a>" in listed
    assert ">Just batches</a>" in listed
    [url] = re.findall(r'href="([^"]+event=batch-request)">1 endpoint</a>', text)
    assert ">Just batches</a>" not in admin_page.client.get(html.unescape(url)).text


def test_it_does_not_show_endpoints_of_another_workspace(
    make_page: object, stranger_page: Page, workspace: Workspace, make_workspace: object
) -> None:
    workspace.endpoint("http://127.0.0.1:9/", name="Ours alone")
    home = stranger_page.get("/").location

    assert "1 endpoint" not in stranger_page.get(f"{home}catalog/").text


@pytest.mark.parametrize(
    ("who", "status"), [("viewer_page", 200), ("stranger_page", 404), ("anonymous_page", 302)]
)
def test_members_alone_see_it(
    request: pytest.FixtureRequest, workspace: Workspace, who: str, status: int
) -> None:
    assert request.getfixturevalue(who).get("catalog/").status_code == status


def test_it_is_as_long_with_many_endpoints(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    few = len(admin_page.get("catalog/").text)
    for _ in range(20):
        workspace.endpoint("http://127.0.0.1:9/", name="A name that is fairly long")
    assert len(admin_page.get("catalog/").text) < few + 200
