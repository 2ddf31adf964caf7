"""From one key to where one wants to be."""

import re

from playwright.sync_api import Page, expect

from tests.browser.steps import with_javascript
from tests.conftest import Workspace


@with_javascript
def test_a_batch_is_one_key_and_its_id_away(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send(2, batch_id="batch_7Q2M")
    page.goto("./")
    page.keyboard.press("Control+k")
    field = page.locator("#palette input")
    expect(field).to_be_focused()
    field.fill("batch_7q2m")
    expect(page.locator("#palette .found a").first).to_contain_text("Deliveries about batch_7q2m")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=batch_7q2m"))
    expect(page.locator("tbody[id^=dlv_]")).to_have_count(2)


@with_javascript
def test_the_palette_goes_by_arrows_and_closes_again(page: Page, workspace: Workspace) -> None:
    page.goto("./")
    page.get_by_role("link", name="Find").click()
    first = page.locator("#palette .found a").first
    expect(first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#palette input")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_hidden()


def test_the_same_is_found_on_a_page(page: Page, workspace: Workspace, has_javascript: bool) -> None:
    workspace.endpoint("https://hooks.example.com/", name="Orders")
    page.goto("../../find/")
    page.fill("#find-q", "ord")
    page.locator("#find-q").press("Enter")
    page.locator("main .found").get_by_role("link", name=re.compile("Orders")).click()
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()
