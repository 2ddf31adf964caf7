"""Listeners in the console: seen, ended, and not set up there."""

import pytest

from tests.conftest import Workspace
from tests.web.api.conftest import new_api
from tests.web.api.listening import Listening, listen
from tests.web.conftest import Page
from tests.web.endpoints import TYPED, load


@pytest.fixture
def listening(workspace: Workspace) -> Listening:
    return listen(new_api(workspace), event_types=["batch-lifecycle"])


def test_the_list_shows_them_apart_from_endpoints(
    admin_page: Page, viewer_page: Page, listening: Listening
) -> None:
    text = admin_page.get("").text
    assert "No endpoint yet" in text
    assert "Listeners" in text
    for shown in ("laptop", "robot", "http://localhost:3000/hooks", "1 of 19", "End listener"):
        assert shown in text
    assert "listener.invalid" not in text
    assert "End listener" not in viewer_page.get("").text


def test_its_pages_say_what_it_is(admin_page: Page, listening: Listening) -> None:
    listening.api.call("POST", f"/endpoints/{listening.started['id']}/test", {"type": "batch-lifecycle"})
    moved = admin_page.get(f"endpoints/{listening.started['id']}").location
    assert moved.endswith("/deliveries")
    for below in ("/deliveries", "/verify", "/test"):
        text = admin_page.get(f"endpoints/{listening.started['id']}{below}").text
        assert "A listener of the API token “robot”" in text
        assert f"{listening.started['id']}/settings" not in text


def test_it_is_ended_there_and_its_program_told(
    admin_page: Page, workspace: Workspace, listening: Listening
) -> None:
    response = admin_page.post(f"endpoints/{listening.started['id']}/end")
    assert response.status_code == 303
    assert "has ended" in admin_page.get(response.location).text
    assert listening.refusal() == (410, "listener_ended", None)
    assert admin_page.post(f"endpoints/{listening.started['id']}/end").status_code == 404


def test_it_is_not_set_up_there(admin_page: Page, listening: Listening) -> None:
    path = f"endpoints/{listening.started['id']}"
    assert admin_page.get(f"{path}/settings").status_code == 404
    for below, data in (("settings", TYPED), ("disable", {}), ("enable", {}), ("delete", {})):
        assert admin_page.post(f"{path}/{below}", data).status_code == 404
    assert load(listening.started["id"]).is_enabled


def test_only_a_listener_is_ended(admin_page: Page, endpoint_id: str) -> None:
    assert admin_page.post(f"endpoints/{endpoint_id}/end").status_code == 404
    assert load(endpoint_id).deleted_at is None
