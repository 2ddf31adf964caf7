"""Logging in and out, what a viewer may, and where an unknown address leads."""

import re

from flask import Flask
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.steps import ids_of, rows
from tests.conftest import PASSWORD, TESTER, Workspace
from webhooks_app.accounts import members, users
from webhooks_app.db.models import Role
from webhooks_app.extensions import services


def test_logging_in_and_out(open_page: OpenPage, workspace: Workspace) -> None:
    page = open_page(None)
    page.goto("deliveries/?status=failed")
    page.fill("#email", workspace.admin_email)
    page.fill("#password", "wrong")
    page.click("text=Log in >> nth=-1")
    expect(page.get_by_role("alert")).to_contain_text("E-mail or password is wrong.")
    expect(page.locator("#email")).to_have_value(workspace.admin_email)
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/deliveries/?status=failed")

    page.click("text=Log out")
    page.wait_for_url("**/login")
    page.goto("deliveries/")
    expect(page).to_have_url(re.compile("/login"))


def test_a_session_that_ended_meanwhile_leads_to_the_log_in(page: Page, failed: str) -> None:
    page.goto("deliveries/")
    page.context.clear_cookies()
    rows(page).locator(".expander").click()
    page.wait_for_url(re.compile(r"/login\?next=.*deliveries"))
    expect(page.locator("#password")).to_be_visible()


def test_a_viewer_sees_everything_and_can_press_nothing(
    open_page: OpenPage, workspace: Workspace, failed: str
) -> None:
    user_id = users.add(services().write, email="viewer@example.com", name="Vera", password=PASSWORD)
    members.add(services().write, workspace.id, user_id, Role.VIEWER, actor=TESTER)
    page = open_page("viewer@example.com")
    page.goto("deliveries/")
    delivery_id = ids_of(page)[0]
    for address in ("./", f"endpoints/{failed}", f"endpoints/{failed}/verify", f"deliveries/{delivery_id}"):
        page.goto(address)
        expect(page.locator("main form[method=post]")).to_have_count(0)
        for label in ("Add endpoint", "Disable", "Send test event", "Settings", "Replay", "Reveal", "Rotate"):
            expect(page.locator("main").get_by_text(label, exact=True)).to_have_count(0)
    page.goto(f"endpoints/{failed}/settings")
    expect(page.get_by_role("heading", name="You may not do that")).to_be_visible()


def test_an_unknown_address_has_a_page_with_a_way_back(page: Page, app: Flask) -> None:
    page.goto("deliveries/dlv_none")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    page.click("text=Go to the endpoints")
    expect(page.get_by_role("heading", name="Endpoints")).to_be_visible()
