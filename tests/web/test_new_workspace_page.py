"""Making another workspace."""

from tests.web.conftest import Page


def test_anybody_can_make_a_workspace_and_is_its_admin(viewer_page: Page, home: str) -> None:
    assert viewer_page.post("/workspaces/new", {"name": ""}).status_code == 422
    answer = viewer_page.post("/workspaces/new", {"name": "Staging"})
    assert answer.status_code == 303
    page = viewer_page.get(answer.location).text
    assert "You are its admin" in page
    assert (
        viewer_page.post(
            f"/w/{answer.location.split('/')[2]}/tokens/", {"name": "x", "scopes": "events:send"}
        ).status_code
        == 200
    )
    assert ">Staging<" in viewer_page.get(f"{home}members/").text
