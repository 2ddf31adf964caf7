"""One's own account: name, password, sessions."""

from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update

from tests.conftest import PASSWORD, Workspace
from tests.web.accounts import NEW_PASSWORD, actions, fresh
from tests.web.conftest import Page
from webhooks_app.accounts import sessions
from webhooks_app.core import clock
from webhooks_app.db.models import User, UserSession
from webhooks_app.extensions import db, services


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


def sessions_of(email: str) -> list[UserSession]:
    """Those that are live, the last used first."""
    db.session.rollback()
    [user_id] = fresh(select(User.id).where(User.email == email))
    return list(sessions.live(db.session(), user_id, now=clock.now()))


def test_sessions_are_listed_with_this_one_marked_and_end_one_by_one(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other, third = make_page(workspace.admin_email), make_page(workspace.admin_email)
    newest, middle, mine = sessions_of(workspace.admin_email)
    text = admin_page.get(f"{home}profile/").text
    assert (text.count("<tr>"), text.count(">this one</span>")) == (4, 1)
    assert text.index(f"sessions/{middle.id}/end") < text.index("this one") < text.index(f"{mine.id}/end")

    answer = admin_page.post(f"{home}profile/sessions/{middle.id}/end")
    assert "has ended." in admin_page.get(answer.location).text
    assert other.get(f"{home}profile/").status_code == 302
    assert third.get(f"{home}profile/").status_code == 200
    assert [each.id for each in sessions_of(workspace.admin_email)] == [newest.id, mine.id]
    assert actions()[-2:] == ["session.end", "session.end"]

    own = admin_page.post(f"{home}profile/sessions/{mine.id}/end")
    assert own.location == "/login"
    assert admin_page.get(f"{home}profile/").status_code == 302


def test_nobody_ends_the_session_of_somebody_else(
    viewer_page: Page, admin_page: Page, home: str, workspace: Workspace
) -> None:
    [theirs] = sessions_of(workspace.admin_email)
    assert viewer_page.post(f"{home}profile/sessions/{theirs.id}/end").status_code == 404
    assert viewer_page.post(f"{home}profile/sessions/none/end").status_code == 404
    assert admin_page.get(f"{home}profile/").status_code == 200


def test_a_log_out_ends_every_session_of_the_person(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    other = make_page(workspace.admin_email)
    admin_page.post("/logout")
    assert sessions_of(workspace.admin_email) == []
    assert other.get(f"{home}profile/").status_code == 302


def test_markup_in_what_a_browser_calls_itself_is_inert(app: Flask, home: str, workspace: Workspace) -> None:
    page = Page(app, home)
    data = {"email": workspace.admin_email, "password": PASSWORD, "csrf_token": page.token()}
    page._open("POST", "/login", data=data, headers={"User-Agent": '"><img src=x>' + "y" * 999})
    assert "&#34;&gt;&lt;img src=x&gt;yyy" in page.get(f"{home}profile/").text


def test_when_a_session_was_last_seen_is_kept(admin_page: Page, home: str, workspace: Workspace) -> None:
    earlier = clock.now() - timedelta(days=2)
    with services().write.begin() as connection:
        connection.execute(update(UserSession).values(last_seen_at=earlier, address="192.0.2.1"))
    admin_page.get(f"{home}profile/")
    [mine] = sessions_of(workspace.admin_email)
    assert mine.last_seen_at > earlier
    assert mine.address == "127.0.0.1"


def test_a_name_can_be_changed(admin_page: Page, home: str) -> None:
    assert admin_page.post(f"{home}profile/name", {"name": "\0"}).status_code == 422
    admin_page.post(f"{home}profile/name", {"name": "Ada L."})
    assert "<b>Ada L.</b>" in admin_page.get(f"{home}profile/").text
