"""Every page and write of an endpoint: who may, and what is inert or never shown."""

from typing import Any

import pytest

from tests.conftest import TESTER, Workspace
from tests.web.conftest import Page
from tests.web.endpoints import MARKUP, SECRET_VALUE, TYPED, audited_actions, load
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.endpoints import actions

WRITES: list[tuple[str, dict[str, Any]]] = [
    ("endpoints/new", TYPED),
    ("endpoints/{id}/settings", TYPED),
    ("endpoints/{id}/disable", {}),
    ("endpoints/{id}/enable", {}),
    ("endpoints/{id}/delete", {"confirmation": "Orders"}),
    ("endpoints/{id}/release", {}),
    ("endpoints/{id}/end", {}),
]


@pytest.mark.parametrize(("url", "data"), WRITES)
@pytest.mark.parametrize(
    ("who", "status"), [("viewer_page", 403), ("stranger_page", 404), ("anonymous_page", 302)]
)
def test_only_admins_of_the_workspace_write(
    request: pytest.FixtureRequest, endpoint_id: str, url: str, data: dict[str, Any], who: str, status: int
) -> None:
    page: Page = request.getfixturevalue(who)
    before = len(audited_actions())

    response = page.post(url.format(id=endpoint_id), data)

    assert response.status_code == status
    if status == 302:
        assert "/login" in response.location
    assert load(endpoint_id).is_enabled
    assert not load(endpoint_id).deleted_at
    assert len(audited_actions()) == before


@pytest.mark.parametrize(("url", "data"), WRITES)
def test_nothing_is_written_without_a_csrf_token(
    admin_page: Page, endpoint_id: str, url: str, data: dict[str, Any]
) -> None:
    before = len(audited_actions())

    assert admin_page.post(url.format(id=endpoint_id), data, csrf=False).status_code == 400
    assert len(audited_actions()) == before


@pytest.mark.parametrize(("url", "data"), WRITES[1:])
def test_an_unknown_endpoint_is_not_found(admin_page: Page, url: str, data: dict[str, Any]) -> None:
    assert admin_page.post(url.format(id="ep_nobody"), data).status_code == 404


def test_a_deleted_endpoint_is_not_found(admin_page: Page, endpoint_id: str, database: WriteDatabase) -> None:
    actions.remove(database, load(endpoint_id), actor=TESTER)

    assert admin_page.get(f"endpoints/{endpoint_id}").status_code == 404
    assert "Orders" not in admin_page.get("").text


def test_an_endpoint_of_another_workspace_is_not_found_under_ones_own(
    stranger_page: Page, endpoint_id: str
) -> None:
    home = stranger_page.get("/").location
    for tab in ("", "/verify", "/settings", "/test"):
        assert stranger_page.get(f"{home}endpoints/{endpoint_id}{tab}").status_code == 404
    assert stranger_page.post(f"{home}endpoints/{endpoint_id}/disable").status_code == 404
    assert load(endpoint_id).is_enabled


def test_stored_header_values_are_on_no_page(admin_page: Page, endpoint_id: str) -> None:
    for url in ("", *(f"endpoints/{endpoint_id}{tab}" for tab in ("", "/verify", "/test", "/settings"))):
        response = admin_page.get(url)
        assert response.status_code == 200
        assert SECRET_VALUE not in response.text
    assert 'value="X-Tenant"' in response.text
    assert SECRET_VALUE not in admin_page.post(f"endpoints/{endpoint_id}/settings", {"url": "x"}).text


def test_settings_are_for_admins(viewer_page: Page, endpoint_id: str) -> None:
    for url in ("endpoints/new", f"endpoints/{endpoint_id}/settings", f"endpoints/{endpoint_id}/test"):
        assert viewer_page.get(url).status_code == 403
    page = viewer_page.get(f"endpoints/{endpoint_id}").text
    for button in ("Disable", "Send test event", f"{endpoint_id}/settings"):
        assert button not in page
    assert "Add endpoint" not in viewer_page.get("").text


def test_markup_in_names_and_urls_is_inert(admin_page: Page, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint(f"http://127.0.0.1:9/?{MARKUP}", name=MARKUP)

    for url in ("", *(f"endpoints/{endpoint_id}{tab}" for tab in ("", "/verify", "/test", "/settings"))):
        text = admin_page.get(url).text
        assert "&lt;img" in text
        assert "<img" not in text
    assert "<img" not in admin_page.get(f"?q={MARKUP}").text
    assert "<img" not in admin_page.post("endpoints/new", TYPED | {"url": MARKUP, "events": [MARKUP]}).text
