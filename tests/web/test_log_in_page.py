"""Logging in and out, and how often one may try."""

import re
from collections.abc import Callable

import pytest

from tests.conftest import PASSWORD, Workspace
from tests.web.conftest import Page
from webhooks_app.accounts import users
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases


def session_of(page: Page) -> str:
    cookie = page.client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def test_the_session_changes_at_the_log_in_and_ends_at_the_log_out(
    make_page: Callable[[str | None], Page], home: str, workspace: Workspace
) -> None:
    page = make_page(None)
    page.get("/login")
    before = session_of(page)
    page.log_in(workspace.admin_email)
    stolen = session_of(page)
    assert stolen != before
    page.post("/logout")
    page.client.set_cookie("session", stolen)
    assert page.get(f"{home}profile/").status_code == 302


@pytest.mark.parametrize("email", ["acme@example.com", "nobody@example.com"])
def test_log_ins_of_an_account_are_limited_whether_it_exists_or_not(
    anonymous_page: Page, workspace: Workspace, email: str, databases: Databases
) -> None:
    texts = set()
    for _ in range(users.FAILED_LOG_INS_PER_ACCOUNT):
        refused = anonymous_page.post("/login", {"email": email.upper(), "password": "guess"})
        assert refused.status_code == 422
        texts.add(re.sub(r'value="[^"]*"', "", refused.text).count("E-mail or password is wrong."))
    assert texts == {1}
    locked = anonymous_page.post("/login", {"email": email, "password": PASSWORD})
    assert (locked.status_code, "Too many tries" in locked.text) == (429, True)
    later = clock.now() + users.FAILED_LOG_IN_WINDOW
    assert not users.is_locked(databases.read, email=email, address="127.0.0.1", now=later)


def test_log_ins_from_an_address_are_limited(
    anonymous_page: Page, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "FAILED_LOG_INS_PER_ADDRESS", 4)
    for number in range(4):
        anonymous_page.post("/login", {"email": f"u{number}@example.com", "password": "guess"})
    forged = {"X-Forwarded-For": "203.0.113.9"}  # no proxy is configured, so nobody may say so
    data = {"email": workspace.admin_email, "password": PASSWORD, "csrf_token": anonymous_page.token()}
    locked = anonymous_page._open("POST", "/login", data=data, headers=forged)
    assert locked.status_code == 429


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/%09/[", "/a%0d%0aX:%20y", "//["],
)
def test_the_log_in_leads_nowhere_else(anonymous_page: Page, workspace: Workspace, target: str) -> None:
    data = {"email": workspace.admin_email, "password": PASSWORD}
    assert anonymous_page.post(f"/login?next={target}", data).location == "/"
