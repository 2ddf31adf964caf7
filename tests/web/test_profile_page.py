"""One's own account: name, password, sessions."""

from collections.abc import Callable

from tests.conftest import PASSWORD, Workspace
from tests.web.accounts import NEW_PASSWORD, actions
from tests.web.conftest import Page


def test_a_password_change_ends_the_other_sessions_only(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    refused = admin_page.post(f"{home}profile/password", {"current": "wrong", "new": NEW_PASSWORD})
    assert (refused.status_code, 'id="current-error"' in refused.text) == (422, True)
    refused = admin_page.post(f"{home}profile/password", {"current": PASSWORD, "new": "short"})
    assert (refused.status_code, 'id="new-error"' in refused.text) == (422, True)

    answer = admin_page.post(f"{home}profile/password", {"current": PASSWORD, "new": NEW_PASSWORD})
    assert "Password changed." in admin_page.get(answer.location).text
    assert other.get(f"{home}profile/").status_code == 302
    make_page(None).log_in(workspace.admin_email, NEW_PASSWORD)
    assert "profile.password" in actions()


def test_other_sessions_can_be_ended(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    admin_page.post(f"{home}profile/sessions")
    assert admin_page.get(f"{home}profile/").status_code == 200
    assert other.get(f"{home}profile/").status_code == 302


def test_a_name_can_be_changed(admin_page: Page, home: str) -> None:
    assert admin_page.post(f"{home}profile/name", {"name": "\0"}).status_code == 422
    admin_page.post(f"{home}profile/name", {"name": "Ada L."})
    assert "<b>Ada L.</b>" in admin_page.get(f"{home}profile/").text
