"""Passkeys in Chromium, with a device that its DevTools provide (WebAuthn, virtual authenticators)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.conftest import opened, session_of
from tests.conftest import PASSWORD, Workspace
from webhooks_app.extensions import services


@pytest.fixture
def named_site(site: str, app: Flask) -> str:
    """The console under a name, as browsers bind passkeys to no number."""
    url = site.replace("127.0.0.1", "localhost")
    services(app).settings = replace(services(app).settings, base_url=url)
    services(app).__dict__.pop("relying_party", None)
    return url


@pytest.fixture
def tab(
    chromium: Browser, named_site: str, app: Flask, workspace: Workspace, problems: list[str]
) -> Iterator[Page]:
    session = session_of(app, workspace.admin_email)
    with opened(chromium, named_site, problems, base=f"/w/{workspace.id}/", session=session) as page:
        yield page


def plug_in(page: Page, **options: Any) -> tuple[CDPSession, str]:
    """Give the browser a device that says yes to everything; return how it is spoken to."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    usual = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    added = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": usual | options})
    return devtools, added["authenticatorId"]


def add_passkey(page: Page) -> None:
    page.goto("profile/")
    page.click("summary:has-text('Add a passkey')")
    page.fill("#passkey-current", PASSWORD)
    page.keyboard.press("Enter")
    page.fill("#name", "This laptop")
    page.click("text=Create passkey")


def test_a_passkey_is_made_and_logs_in(tab: Page) -> None:
    plug_in(tab)
    add_passkey(tab)
    expect(tab.locator("#toasts")).to_contain_text("Passkey “This laptop” added.")
    expect(tab.get_by_role("cell", name="This laptop")).to_be_visible()

    tab.click("text=Log out")
    tab.wait_for_url("**/login")
    tab.click("text=Log in with a passkey")
    tab.wait_for_url("**/w/**")
    tab.goto("profile/")
    expect(tab.locator("table", has_text="This laptop")).not_to_contain_text("never")


def test_a_device_is_added_once(tab: Page) -> None:
    plug_in(tab)
    add_passkey(tab)
    tab.wait_for_url("**/profile/")
    add_passkey(tab)
    expect(tab.get_by_role("alert")).to_contain_text("has a passkey for your account already")


def test_whoever_the_device_does_not_know_is_told_so(tab: Page) -> None:
    devtools, device = plug_in(tab)
    add_passkey(tab)
    tab.wait_for_url("**/profile/")
    devtools.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    tab.context.clear_cookies()
    tab.goto("/login")
    tab.click("text=Log in with a passkey")
    expect(tab.get_by_role("alert")).to_contain_text("Try again.")
    expect(tab).to_have_url(re.compile("/login$"))


def test_without_scripts_the_log_in_page_offers_none(
    chromium: Browser, named_site: str, problems: list[str]
) -> None:
    with opened(chromium, named_site, problems, java_script_enabled=False) as page:
        page.goto("/login")
        expect(page.get_by_text("Log in with a passkey")).to_be_hidden()
        expect(page.locator("#password")).to_be_visible()
