"""The catalog page."""

import pytest

from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app.events.catalog import load
from webhooks_app.web.catalog_page import Field, fields

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

    assert "2 endpoints" in text
    assert text.count(">Everything</a>") == len(CATALOG.event_types)
    assert text.count(">Just batches</a>") == 1


def test_it_does_not_show_endpoints_of_another_workspace(
    make_page: object, stranger_page: Page, workspace: Workspace, make_workspace: object
) -> None:
    workspace.endpoint("http://127.0.0.1:9/", name="Ours alone")
    home = stranger_page.get("/").location

    assert "Ours alone" not in stranger_page.get(f"{home}catalog/").text


@pytest.mark.parametrize(
    ("who", "status"), [("viewer_page", 200), ("stranger_page", 404), ("anonymous_page", 302)]
)
def test_members_alone_see_it(
    request: pytest.FixtureRequest, workspace: Workspace, who: str, status: int
) -> None:
    assert request.getfixturevalue(who).get("catalog/").status_code == status


def test_names_of_endpoints_are_inert(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/", name='<img src=x hx-get="/">')

    assert "<img" not in admin_page.get("catalog/").text


def test_fields_go_down_into_objects_and_lists() -> None:
    schema = {
        "required": ["kind"],
        "properties": {
            "kind": {"enum": ["a", None], "description": "Which"},
            "at": {"type": "string", "format": "date-time"},
            "items": {
                "type": "array",
                "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
            },
        },
    }

    assert list(fields(schema)) == [
        Field("kind", "one of a, null", True, "Which"),
        Field("at", "string, date-time", False, ""),
        Field("items", "array of object", False, ""),
        Field("items[].id", "string", True, ""),
    ]
