"""What makes the console easy to read and hard to lose work in: times, opened rows, unsaved forms."""

import re

from playwright.sync_api import Dialog, Page, expect

from tests.browser.steps import POLL_MS, open_row, rows, with_javascript
from tests.conftest import Workspace

EXACT = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
ZONED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$")


def test_times_are_relative_with_the_exact_one_in_utc_beside(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send()
    page.goto("deliveries/")
    expect(page.locator(".c-time time")).to_have_attribute("title", ZONED)
    expect(page.locator(".c-time time")).to_have_text(re.compile(" s ago$"))


@with_javascript
def test_a_press_or_a_key_tells_times_exactly_and_it_is_remembered(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send()
    page.goto("deliveries/")
    moment = page.locator(".c-time time")
    moment.click()
    expect(moment).to_have_text(EXACT)
    page.reload()
    expect(moment).to_have_text(EXACT)
    page.keyboard.press("t")
    expect(moment).to_have_text(re.compile(" ago$"))
    page.get_by_role("button", name="Exact").press("Enter")
    expect(moment).to_have_text(EXACT)


@with_javascript
def test_times_can_be_local(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send()
    page.add_init_script("Date.prototype.getTimezoneOffset = () => -330")  # as in Kolkata
    page.goto("deliveries/")
    button = page.get_by_role("button", name="Local")
    moment = page.locator(".c-time time")
    in_utc = moment.get_attribute("title")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(moment).to_have_attribute("title", re.compile(r" \+05:30$"))
    assert moment.get_attribute("title") != in_utc
    open_row(page, rows(page), True)
    expect(page.locator(".row-preview time[data-exact]").first).to_have_text(re.compile(r" \+05:30$"))


@with_javascript
def test_back_finds_the_row_open(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send(3)
    page.goto("deliveries/?status=pending")
    row = open_row(page, rows(page).nth(1), True)
    page.wait_for_url(re.compile("open=dlv_"))
    row.get_by_role("link", name="Open delivery").click()
    expect(page.locator("#delivery")).to_be_visible()
    page.go_back()
    expect(page.locator(".row-preview")).to_have_count(1)
    expect(rows(page).nth(1).locator(".row-preview")).to_be_visible()
    rows(page).nth(1).locator(".expander").click()
    expect(page.locator(".row-preview")).to_have_count(0)
    page.wait_for_url(re.compile("status=pending$"))


@with_javascript
def test_what_was_typed_is_not_lost_without_a_word(page: Page, problems: list[str]) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)

    page.on("dialog", stay)
    page.goto("./")
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_text("Not saved yet")).to_be_hidden()
    page.fill("#name", "Another name")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    page.get_by_role("link", name="Members").click()
    expect(page.get_by_role("heading", name="Settings", exact=True)).to_be_visible()
    assert asked == ["beforeunload"]
    problems.clear()
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Not saved yet")).to_be_hidden()
    page.get_by_role("link", name="Members").click()
    expect(page.get_by_role("heading", name="Members")).to_be_visible()
    assert asked == ["beforeunload"]


@with_javascript
def test_new_deliveries_come_by_themselves_while_the_log_is_followed(
    page: Page, workspace: Workspace
) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send()
    page.goto("deliveries/")
    page.get_by_role("button", name="Follow live").click()
    workspace.send(2)
    page.clock.fast_forward(POLL_MS)
    expect(rows(page)).to_have_count(3)
    open_row(page, rows(page).first, True)
    workspace.send()
    page.clock.fast_forward(POLL_MS)
    expect(page.get_by_text("1 new delivery")).to_be_visible()
    expect(rows(page)).to_have_count(3)
    rows(page).first.locator(".expander").click()
    expect(rows(page)).to_have_count(4)

    page.get_by_role("button", name="Pause").click()
    workspace.send()
    page.clock.fast_forward(POLL_MS)
    expect(page.get_by_text("1 new delivery")).to_be_visible()
    expect(rows(page)).to_have_count(4)
