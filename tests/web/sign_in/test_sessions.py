"""Whose session it is, also of an older version, and where whoever has none is sent."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import delete, func, select

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.web.accounts import fresh
from tests.web.conftest import FRAGMENT_HEADERS, Page
from tests.web.test_profile_page import sessions_of
from webhooks_app.accounts import sessions
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import SignInMethod, User, UserSession


def test_a_fragment_of_an_expired_session_leads_to_the_log_in(anonymous_page: Page) -> None:
    response = anonymous_page.get("", headers=FRAGMENT_HEADERS)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")
    assert response.headers["WWW-Authenticate"].startswith("Cookie ")


def of_older_version(app: Flask, home: str, workspace: Workspace) -> Page:
    """A browser that logged in at a version without the table of sessions, and has seen a page since."""
    [user] = fresh(select(User).where(User.email == workspace.admin_email))
    page = Page(app, home)
    page.get("/login")
    with page.client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = f"{user.id}:{user.session_key}", True
    return page


def test_a_session_of_an_older_version_goes_on_and_is_listed_once(
    app: Flask, home: str, workspace: Workspace
) -> None:
    page, another = of_older_version(app, home, workspace), of_older_version(app, home, workspace)
    for _ in range(2):
        assert page.get("profile/").status_code == 200
    assert another.get("profile/").status_code == 200
    assert [each.method for each in sessions_of(workspace.admin_email)] == [SignInMethod.UNKNOWN] * 2


def test_a_session_of_an_older_version_stays_ended(app: Flask, home: str, workspace: Workspace) -> None:
    page, another = of_older_version(app, home, workspace), of_older_version(app, home, workspace)
    page.get("profile/")
    [mine] = sessions_of(workspace.admin_email)
    another.post(f"{home}profile/sessions/{mine.id}/end")
    assert page.get("profile/").status_code == 302
    another.post(f"{home}profile/sessions")
    assert another.get("profile/").status_code == 200


def test_what_has_ended_does_not_come_back_once_its_row_is_deleted(
    app: Flask, home: str, workspace: Workspace, database: WriteDatabase
) -> None:
    page = of_older_version(app, home, workspace)
    page.get("profile/")
    [mine] = sessions_of(workspace.admin_email)
    sessions.end(database, mine, actor=TESTER)
    assert page.get("profile/").status_code == 302
    with database.begin() as connection:
        connection.execute(delete(UserSession))
    assert page.get("profile/").status_code == 302


def test_an_ended_session_does_not_spoil_the_next_log_in(
    app: Flask, home: str, workspace: Workspace, database: WriteDatabase
) -> None:
    page = of_older_version(app, home, workspace)
    page.get("profile/")
    [mine] = sessions_of(workspace.admin_email)
    sessions.end(database, mine, actor=TESTER)
    assert page.post("/login", {"email": workspace.admin_email, "password": PASSWORD}).location == "/"
    assert page.get("profile/").status_code == 200


def test_an_older_version_takes_the_sessions_of_this_one(admin_page: Page, workspace: Workspace) -> None:
    """During a rolling upgrade: it looks at nothing but the account's id and key."""
    [user] = fresh(select(User).where(User.email == workspace.admin_email))
    with admin_page.client.session_transaction() as cookie:
        assert cookie["_user_id"] == f"{user.id}:{user.session_key}"


def test_a_token_that_nobody_was_given_begins_nothing(
    admin_page: Page, make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    with admin_page.client.session_transaction() as cookie:
        cookie["token"] = "another"
    assert admin_page.get(f"{home}profile/").status_code == 302
    assert fresh(select(func.count(UserSession.id))).one() == 1


def test_the_token_of_another_account_is_of_no_use(
    admin_page: Page, viewer_page: Page, home: str, workspace: Workspace
) -> None:
    with viewer_page.client.session_transaction() as cookie:
        theirs = cookie["token"]
    with admin_page.client.session_transaction() as cookie:
        cookie["token"] = theirs
    assert admin_page.get(f"{home}profile/").status_code == 302
