"""A lost password is reset by e-mail: once, in time, limited, and without telling who has an account."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import PASSWORD, Workspace
from tests.mail_servers import Mailbox, Start
from tests.waiting import wait_for
from tests.web.accounts import NEW_PASSWORD
from tests.web.conftest import Page
from webhooks_app.accounts import log_in_limits, password_resets
from webhooks_app.db.models import AuditEntry, User
from webhooks_app.extensions import db, services

ASK = "/password-reset/"


@pytest.fixture
def mailbox(app: Flask, mailbox: Mailbox, start_smtp: Start) -> Mailbox:
    """What mail the application sent."""
    found = services(app)
    found.settings = replace(found.settings, mail_server=start_smtp(), base_url="https://hooks.example.com")
    return mailbox


@pytest.fixture
def page(make_page: Callable[[str | None], Page], mailbox: Mailbox, workspace: Workspace) -> Page:
    return make_page(None)


def link_in(mailbox: Mailbox) -> str:
    wait_for(lambda: mailbox.messages)
    address: str
    [address] = re.findall(
        r"^https://\S+/password-reset/\S+", mailbox.messages[-1].get_content(), re.MULTILINE
    )
    return address


def test_whoever_asks_gets_a_link_that_sets_a_new_password(
    page: Page, mailbox: Mailbox, workspace: Workspace
) -> None:
    assert ASK in page.get("/login").text
    answer = page.post(ASK, {"email": workspace.admin_email.upper()})
    link = link_in(mailbox)

    assert (answer.status_code, "is on its way" in answer.text) == (200, True)
    assert mailbox.messages[-1]["To"] == workspace.admin_email
    assert link.startswith("https://hooks.example.com/password-reset/")
    path = urlsplit(link).path
    shown = page.get(path)
    assert (shown.status_code, workspace.admin_email in shown.text) == (200, True)
    assert shown.headers["Cache-Control"] == "no-store"
    assert page.post(path, {"password": NEW_PASSWORD}).location.endswith("/login")
    page.log_in(workspace.admin_email, NEW_PASSWORD)
    done = select(AuditEntry.action).where(AuditEntry.workspace_id == workspace.id).order_by(AuditEntry.id)
    db.session.rollback()
    assert list(db.session.scalars(done))[-3:] == ["profile.reset", "profile.password", "session.log_in"]


def test_nobody_learns_who_has_an_account(page: Page, mailbox: Mailbox, workspace: Workspace) -> None:
    texts = [
        page.post(ASK, {"email": email}).text.partition("<main")[2].replace(email, "")
        for email in (workspace.admin_email, "nobody@example.com")
    ]
    assert texts[0] == texts[1]
    link_in(mailbox)
    assert [message["To"] for message in mailbox.messages] == [workspace.admin_email]


def test_a_link_is_good_once(page: Page, mailbox: Mailbox, workspace: Workspace) -> None:
    page.post(ASK, {"email": workspace.admin_email})
    path = urlsplit(link_in(mailbox)).path
    assert page.post(path, {"password": NEW_PASSWORD}).status_code == 303

    for answer in (page.get(path), page.post(path, {"password": PASSWORD})):
        assert answer.status_code == 404
        assert "was used or has expired" in answer.text


def test_a_link_ends_after_an_hour_and_with_a_log_out_everywhere(
    page: Page, mailbox: Mailbox, workspace: Workspace
) -> None:
    page.post(ASK, {"email": workspace.admin_email})
    path = urlsplit(link_in(mailbox)).path
    user = db.session.scalars(select(User).where(User.email == workspace.admin_email)).one()
    key = services().settings.secret_key
    token = path.rpartition("/")[2]
    assert password_resets.find_user(db.session(), token, key) is user
    assert password_resets.find_user(db.session(), token, key, life=timedelta(seconds=-1)) is None
    assert password_resets.find_user(db.session(), token, "x" * 32) is None
    page.log_in(workspace.admin_email)
    page.post(f"/w/{workspace.id}/profile/sessions")

    assert page.get(path).status_code == 404


@pytest.mark.parametrize("token", ["x", "a.b.c", "usr_0", "%00", "InVzciI.aaaaaa.bbbb", "é"])
def test_what_is_no_link_is_not_found(page: Page, token: str) -> None:
    assert page.get(ASK + token).status_code == 404
    assert page.post(ASK + token, {"password": NEW_PASSWORD}).status_code == 404


@pytest.mark.parametrize("password", ["", "short", "x" * 1025])
def test_a_bad_password_is_refused_at_its_field(
    page: Page, mailbox: Mailbox, workspace: Workspace, password: str
) -> None:
    page.post(ASK, {"email": workspace.admin_email})
    path = urlsplit(link_in(mailbox)).path

    answer = page.post(path, {"password": password})

    assert (answer.status_code, "password-error" in answer.text) == (422, True)
    assert page.get(path).status_code == 200


@pytest.mark.parametrize("email", ["", "nobody", "a@b..de"])
def test_what_is_no_address_is_refused_at_its_field(page: Page, email: str) -> None:
    answer = page.post(ASK, {"email": email})
    assert (answer.status_code, "email-error" in answer.text) == (422, True)


def test_an_account_gets_a_limited_number_of_links(
    page: Page, mailbox: Mailbox, workspace: Workspace
) -> None:
    limit = log_in_limits.DEFAULT_LIMITS.per_account
    statuses = [page.post(ASK, {"email": workspace.admin_email}).status_code for _ in range(limit + 2)]
    assert statuses == [200] * limit + [429] * 2
    wait_for(lambda: len(mailbox.messages) == limit)
    page.log_in(workspace.admin_email)  # whose own tries are others


def test_without_a_mail_server_nobody_is_offered_a_link(anonymous_page: Page) -> None:
    assert ASK not in anonymous_page.get("/login").text
    assert anonymous_page.get(ASK).status_code == 404
    assert anonymous_page.post(ASK, {"email": "a@example.com"}).status_code == 404


def test_neither_form_goes_without_its_csrf_token(page: Page) -> None:
    assert page.post(ASK, {"email": "a@example.com"}, csrf=False).status_code == 400
    assert page.post(ASK + "x", {"password": NEW_PASSWORD}, csrf=False).status_code == 400
