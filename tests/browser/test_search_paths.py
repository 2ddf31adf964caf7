"""Finding deliveries in the log: by a value at a press, by text however far back."""

import re

from playwright.sync_api import Page, Request, Route, expect

from tests import long_log
from tests.browser.steps import open_row, rows, with_javascript
from tests.conftest import Workspace
from webhooks_app.db.engines import WriteDatabase


def test_a_press_on_a_value_shows_what_else_is_about_it(
    page: Page, workspace: Workspace, has_javascript: bool
) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send(2, batch_id="batch_7Q2M", status="failed")
    workspace.send(3, batch_id="batch_8")
    page.goto("deliveries/")
    expect(rows(page)).to_have_count(5)
    page.get_by_role("link", name="batch_7Q2M").first.click()
    expect(rows(page)).to_have_count(2)
    expect(page.locator("#q")).to_have_value("batch_7Q2M")
    opened = open_row(page, rows(page).first, has_javascript)
    if has_javascript:
        expect(opened.locator("pre mark")).to_have_text("batch_7Q2M")
    page.goto("deliveries/")
    page.fill("#q", "BATCH_8")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(3)


@with_javascript
def test_a_text_is_searched_for_to_the_end_of_the_log(
    page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    long_log.fill(database, workspace, "needle")
    page.goto("deliveries/")
    page.fill("#q", "NEEDLE")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#search-on")).to_contain_text("The whole log was searched: 1 delivery matches.")
    rows(page).locator(".expander").click()
    expect(page.locator(".row-preview mark")).to_have_text("needle")


@with_javascript
def test_a_search_stops_when_told_to_and_goes_on(
    page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    long_log.fill(database, workspace, "needle")
    held: list[Route] = []
    page.route(re.compile("found="), lambda route: held.append(route))
    page.goto("deliveries/?q=needle")
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    link = page.get_by_role("link", name="Search on")
    expect(link).to_be_focused()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    with page.expect_response(re.compile("found=")):  # the step that was under way
        held[0].continue_()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    page.unroute(re.compile("found="))
    assert len(held) == 1
    link.click()
    expect(rows(page)).to_have_count(1)


@with_javascript
def test_enter_in_the_search_field_asks_once(page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://hooks.example.com/")
    workspace.send()
    page.goto("deliveries/")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "q=b1" in request.url else None)
    page.fill("#q", "b1")
    with page.expect_response(re.compile("q=b1")):
        page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=b1"))
    page.select_option("#f-status", "pending")
    page.wait_for_url(re.compile("status=pending"))
    assert len(asked) == 2
