"""The site in Chromium, as the web serves it: the policy refuses nothing, search and both themes work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_every_page import ALL_RULES, AXE, RUN_AXE
from tests.events import shop_catalog
from tests.served_app import served
from webhooks_app.events import catalog
from webhooks_app.extensions import services

pytestmark = pytest.mark.long

# With tables, code in several languages, forms.
LOOKED_AT = (
    *("index", "consumers", "catalog", "client", "search"),
    *("reference/settings", "reference/shell", "events/batch-lifecycle"),
)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """SQLite alone: nothing here asks the database."""
    return sqlite_url


@pytest.fixture
def address(app: Flask, site: Path) -> Iterator[str]:
    app.config["DOCUMENTS_FOLDER"] = site
    with served(app) as url:
        yield f"{url}/docs"


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def tab(chromium: Browser, complaints: list[str]) -> Iterator[Page]:
    with chromium.new_context() as context:
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page


def test_search_finds_a_page_by_a_word_and_leads_there(
    tab: Page, address: str, complaints: list[str]
) -> None:
    tab.goto(f"{address}/")
    tab.get_by_placeholder("Search").fill("redirects")
    tab.keyboard.press("Enter")
    found = tab.locator("#search-results li a", has_text="Receiving deliveries").first
    found.wait_for()
    found.click()
    expect(tab.locator("h1")).to_contain_text("Receiving deliveries")
    assert complaints == []


def test_what_people_act_by_is_found_before_records_of_decisions(tab: Page, address: str) -> None:
    tab.goto(f"{address}/search.html?q=idempotency")
    expect(tab.locator("#search-results .search-summary")).to_contain_text("finished")
    places = [link.get_attribute("href") or "" for link in tab.locator("#search-results li > a").all()]
    behind = [place.startswith(("decisions/", "project/")) for place in places]
    assert behind == sorted(behind) and len(set(behind)) == 2


def test_search_finds_event_types_of_a_deployment(
    tab: Page, app: Flask, address: str, tmp_path: Path, complaints: list[str]
) -> None:
    services(app).catalog = catalog.load(shop_catalog.write(tmp_path))
    for query, found in (
        ("orders in full", "order.paid"),
        ("order.paid", "order.paid"),
        ("asked here", "batch-request"),
    ):
        tab.goto(f"{address}/search.html?q={query}")
        expect(tab.locator("#search-results .search-summary")).to_contain_text("finished")
        places = [link.text_content() for link in tab.locator("#search-results li > a").all()]
        assert found in places, query
    tab.locator("#search-results li > a", has_text="batch-request").first.click()
    expect(tab.locator("article")).to_contain_text("A batch was asked for here")
    tab.goto(f"{address}/search.html?q=batch inference run was requested")
    expect(tab.locator("#search-results .search-summary")).to_contain_text("finished")
    assert tab.locator("#search-results li > a", has_text="batch-request").count() == 0
    assert complaints == []


@pytest.mark.parametrize("width", [375, 1440])
def test_pages_fit_their_window_in_both_themes(
    tab: Page, address: str, complaints: list[str], width: int
) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    grounds = set()
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        for page in ("index", "consumers", "reference/settings", "events/batch-lifecycle", "api"):
            tab.goto(f"{address}/{page}.html")
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
        grounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    assert complaints == []


def test_snippets_unfold_and_the_theme_can_be_chosen(tab: Page, address: str, complaints: list[str]) -> None:
    tab.goto(f"{address}/consumers.html")
    tab.locator("summary", has_text="Python, Flask").click()
    expect(tab.locator("details[open] pre")).to_contain_text("request.get_data()")
    before = tab.evaluate("document.body.dataset.theme")
    tab.locator(".theme-toggle:visible").first.click()
    assert tab.evaluate("document.body.dataset.theme") != before
    assert complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, address: str, theme: Literal["light", "dark"]) -> None:
    # axe is put into the page, which the policy would not have; the other tests hold that.
    with chromium.new_context(bypass_csp=True, color_scheme=theme) as context:
        tab = context.new_page()
        for page in LOOKED_AT:
            tab.goto(f"{address}/{page}.html")
            tab.evaluate(AXE)
            violations = tab.evaluate(RUN_AXE, ALL_RULES)
            assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == [], page
