"""Steps and places that the paths have in common."""

import pytest
from playwright.sync_api import Locator, Page, expect

with_javascript = pytest.mark.parametrize("has_javascript", [True], ids=["javascript"])
POLL_MS = 3_000  # after which a page asks for what has changed


def rows(page: Page) -> Locator:
    return page.locator("tbody[id^=dlv_]")


def ids_of(page: Page) -> list[str]:
    return [row.get_attribute("id") or "" for row in rows(page).all()]


def toast(page: Page) -> Locator:
    return page.locator(".toast").last


def let_change(page: Page, has_javascript: bool) -> None:
    """With JavaScript a page changes by itself after a while, without it on a reload."""
    if has_javascript:
        page.clock.fast_forward(POLL_MS)
    else:
        page.reload()


def open_row(page: Page, row: Locator, has_javascript: bool) -> Locator:
    """What is to be seen of the delivery: its row unfolded or, without JavaScript, its page."""
    if has_javascript:
        expect_powered(row.locator(".expander"))
    row.locator(".expander").click()
    if has_javascript:
        expect(row.locator(".row-preview")).to_be_visible()
        return row
    expect(page.locator("#delivery")).to_be_visible()
    return page.locator("#delivery")


def expect_powered(place: Locator) -> None:
    """Wait until htmx has taken the element over; before that, a link leads to the whole page."""
    expect(place).to_have_attribute("data-htmx-powered", "true")
