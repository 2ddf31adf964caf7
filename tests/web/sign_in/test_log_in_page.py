"""Logging in and out, and how often one may try."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import Cookie

from tests.conftest import PASSWORD, Workspace
from tests.web.accounts import NEW_PASSWORD, fresh
from tests.web.conftest import Page
from webhooks_app.accounts import log_in_limits
from webhooks_app.db.models import User


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


LIMITS = log_in_limits.DEFAULT_LIMITS


def guess(page: Page, email: str, **headers: str) -> int:
    """Try a wrong password; return the status."""
    data = {"email": email, "password": "guess", "csrf_token": page.token()}
    return page._open("POST", "/login", data=data, headers=headers).status_code


@pytest.mark.parametrize("email", ["acme@example.com", "nobody@example.com"])
def test_log_ins_of_an_account_are_limited_whether_it_exists_or_not(
    anonymous_page: Page, workspace: Workspace, email: str
) -> None:
    texts = set()
    for _ in range(LIMITS.per_account):
        refused = anonymous_page.post("/login", {"email": email.upper(), "password": "guess"})
        assert refused.status_code == 422
        texts.add(re.sub(r'value="[^"]*"', "", refused.text).count("E-mail or password is wrong."))
    assert texts == {1}
    locked = anonymous_page.post("/login", {"email": email, "password": PASSWORD})
    assert (locked.status_code, "Too many tries" in locked.text) == (429, True)
    assert locked.headers["Retry-After"] == "900"


def test_log_ins_from_an_address_are_limited(anonymous_page: Page, workspace: Workspace) -> None:
    statuses = [guess(anonymous_page, f"u{number}@example.com") for number in range(LIMITS.per_address + 1)]
    assert statuses == [422] * LIMITS.per_address + [429]
    # No proxy is configured, so nobody may say so.
    assert guess(anonymous_page, workspace.admin_email, **{"X-Forwarded-For": "203.0.113.9"}) == 429


def test_many_tries_at_once_get_no_more_checks(
    make_page: Callable[[str | None], Page], app: Flask, workspace: Workspace
) -> None:
    def guess_once(_: int) -> int:
        with app.app_context():
            return guess(Page(app, "/"), workspace.admin_email)

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(guess_once, range(40)))
    assert statuses == [422] * LIMITS.per_account + [429] * (40 - LIMITS.per_account)


def test_a_stranger_locks_nobody_out_of_a_known_device(
    admin_page: Page, anonymous_page: Page, workspace: Workspace
) -> None:
    admin_page.post("/logout")
    for number in range(LIMITS.per_address):
        guess(anonymous_page, workspace.admin_email if number < LIMITS.per_account else f"{number}@b.c")
    assert guess(anonymous_page, workspace.admin_email) == 429
    admin_page.log_in(workspace.admin_email)


def test_a_known_device_may_try_no_more_often_than_others(admin_page: Page, workspace: Workspace) -> None:
    admin_page.post("/logout")
    statuses = [guess(admin_page, workspace.admin_email) for _ in range(LIMITS.per_device + 1)]
    assert statuses == [422] * LIMITS.per_device + [429]


def device_of(page: Page, email: str) -> Cookie:
    """Return the cookie by which that browser is known for the account."""
    [user_id] = fresh(select(User.id).where(User.email == email))
    cookie = page.client.get_cookie(f"device-{user_id}")
    assert cookie
    return cookie


def test_a_device_is_known_for_its_account_only(
    admin_page: Page, stranger_page: Page, anonymous_page: Page, workspace: Workspace
) -> None:
    theirs = device_of(admin_page, workspace.admin_email)
    own = device_of(stranger_page, "other@example.com")
    assert theirs.http_only
    assert theirs.same_site == "Lax"
    for _ in range(LIMITS.per_account):
        guess(anonymous_page, workspace.admin_email)
    stranger_page.client.set_cookie(theirs.key, own.value)
    assert guess(stranger_page, workspace.admin_email) == 429
    stranger_page.client.set_cookie(theirs.key, theirs.value)
    assert guess(stranger_page, workspace.admin_email) == 422


def test_a_new_password_makes_other_devices_unknown(
    admin_page: Page,
    anonymous_page: Page,
    make_page: Callable[[str | None], Page],
    home: str,
    workspace: Workspace,
) -> None:
    other = make_page(workspace.admin_email)
    admin_page.post(f"{home}profile/password", {"current": PASSWORD, "new": NEW_PASSWORD})
    admin_page.post("/logout")
    for _ in range(LIMITS.per_account):
        guess(anonymous_page, workspace.admin_email)
    data = {"email": workspace.admin_email, "password": NEW_PASSWORD}
    assert other.post("/login", data).status_code == 429
    assert admin_page.post("/login", data).status_code == 303


def test_a_stranger_keeps_nobody_from_changing_their_password(
    admin_page: Page, anonymous_page: Page, home: str, workspace: Workspace
) -> None:
    for _ in range(LIMITS.per_account):
        guess(anonymous_page, workspace.admin_email)
    wrong = admin_page.post(f"{home}profile/password", {"current": "guess", "new": NEW_PASSWORD})
    assert "This is not your current password." in wrong.text
    for _ in range(LIMITS.per_device):
        wrong = admin_page.post(f"{home}profile/password", {"current": "guess", "new": NEW_PASSWORD})
    assert "Too many wrong passwords." in wrong.text


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/%09/[", "/a%0d%0aX:%20y", "//["],
)
def test_the_log_in_leads_nowhere_else(anonymous_page: Page, workspace: Workspace, target: str) -> None:
    data = {"email": workspace.admin_email, "password": PASSWORD}
    assert anonymous_page.post(f"/login?next={target}", data).location == "/"
