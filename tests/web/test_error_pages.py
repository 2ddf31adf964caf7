"""Error pages: in words, with a way on, inside the frame where the workspace is known."""

from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select, text

from tests.conftest import Workspace
from tests.patience import PATIENT_LIMITS
from tests.web.conftest import FRAGMENT_HEADERS, Page
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken
from webhooks_app.extensions import db

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_404_within_a_workspace_keeps_its_navigation(admin_page: Page, workspace: Workspace) -> None:
    answer = admin_page.get("endpoints/ep_nobody")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert 'id="nav"' in answer.text
    outside = admin_page.get("/no/such/page")
    assert (outside.status_code, 'id="nav"' in outside.text) == (404, False)
    assert 'href="/"' in outside.text


def test_a_403_says_who_can_help(viewer_page: Page) -> None:
    answer = viewer_page.get("endpoints/new")
    assert (answer.status_code, "Only admins of this workspace can." in answer.text) == (403, True)
    assert 'id="nav"' in answer.text


def test_a_wrong_method_is_refused_with_a_page(admin_page: Page) -> None:
    answer = admin_page.get("/logout")
    assert (answer.status_code, set(answer.allow)) == (405, {"POST", "OPTIONS"})
    assert "<h1>" in answer.text


def test_a_form_without_its_cookie_is_told_so(app: Flask, anonymous_page: Page) -> None:
    token = anonymous_page.token()
    answer = app.test_client().post("/login", data={"csrf_token": token})
    assert (answer.status_code, "Allow cookies" in answer.text) == (400, True)


def test_a_body_that_is_too_large_is_refused(admin_page: Page) -> None:
    answer = admin_page.post("endpoints/new", {"name": "x" * (5 * 1024 * 1024)}, csrf=False)
    assert (answer.status_code, "That is too large" in answer.text) == (413, True)
    assert answer.headers["Connection"] == "close"


def test_a_bug_shows_a_page_that_gives_nothing_away(app: Flask, admin_page: Page) -> None:
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.jinja_env.globals["asset"] = lambda name: "/static/x"
    app.view_functions["catalog.index"] = lambda **_: str(1 / 0)
    answer = admin_page.get("catalog/")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.text
    assert "ZeroDivisionError" not in answer.text
    fragment = admin_page.get("catalog/", headers=FRAGMENT_HEADERS)
    assert fragment.status_code == 500


@pytest.mark.parametrize("database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.2)], indirect=True)
def test_a_locked_database_is_said_and_nothing_is_changed(
    admin_page: Page, home: str, database: WriteDatabase
) -> None:
    names = select(ApiToken.name)
    before = db.session.scalars(names).all()
    with database.begin():
        answer = admin_page.post(f"{home}tokens/", {"name": "Another", "scopes": "events:send"})
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert "The database does not answer" in answer.text
    db.session.rollback()
    assert db.session.scalars(names).all() == before
    assert admin_page.post(f"{home}tokens/", {"name": "Another", "scopes": "events:send"}).status_code < 400


@pytest.mark.parametrize("path", ["tokens/", "/api/v1/events"])
def test_a_missing_table_is_no_reason_to_ask_again(
    app: Flask, admin_page: Page, workspace: Workspace, home: str, database: WriteDatabase, path: str
) -> None:
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE api_tokens RENAME TO gone"))
    if path.startswith("/"):
        answer = app.test_client().post(path, json={}, headers=workspace.headers)
    else:
        answer = admin_page.get(home + path)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (500, None)
