"""A search for text goes on by itself, step by step, until a page is full or the log has ended."""

import html
import re

import pytest

from tests import long_log
from tests.conftest import Workspace
from tests.web.conftest import Page
from webhooks_app.db.engines import WriteDatabase

_FURTHER = re.compile(r'id="search-on" hx-get="([^"]+)"')
_SHARE = re.compile(r'<progress max="1" value="([\d.]+)"')


def follow(page: Page, url: str) -> list[str]:
    """The page, then the steps that it asks for until the search has ended."""
    steps = [page.get(url).text]
    while found := _FURTHER.search(steps[-1]):
        steps.append(page.fragment(html.unescape(found[1])).text)
    return steps


def rows_of(steps: list[str]) -> list[str]:
    return re.findall(r'<tbody id="(dlv_\w+)', "".join(steps))


def test_a_rare_text_is_found_far_back_and_the_way_is_shown(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    long_log.fill(database, workspace, "needle one", "NEEDLE two")
    steps = follow(admin_page, "deliveries/?q=Needle")

    assert len(steps) > 1
    assert len(set(rows_of(steps))) == 2
    shares = [float(share) for step in steps for share in _SHARE.findall(step)]
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1
    assert "The whole log was searched: 2 deliveries match." in steps[-1]


def test_a_search_that_finds_nothing_says_so(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    endpoint_id = long_log.fill(database, workspace)
    steps = follow(admin_page, f"endpoints/{endpoint_id}/deliveries?q=needle")
    assert "No delivery matches." in steps[-1]
    assert f"endpoints/{endpoint_id}/deliveries?q=needle&amp;before=" in steps[0]


def test_a_full_page_ends_the_search_and_leads_on(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    long_log.fill(database, workspace, *["needle"] * 30)
    steps = follow(admin_page, "deliveries/?q=needle")
    assert len(rows_of(steps)) == 25
    assert "This page is full" in steps[-1]
    older = re.search(r'id="older" href="([^"]+)"', steps[-1])
    assert older
    assert len(rows_of([admin_page.get(html.unescape(older[1])).text])) == 5


@pytest.mark.parametrize("found", ["x", "-1", "25", "1e3"])
def test_a_step_that_no_page_asks_for_is_refused(admin_page: Page, waiting: str, found: str) -> None:
    assert admin_page.fragment(f"deliveries/?q=x&before={waiting}&found={found}").status_code == 400


def test_without_javascript_a_link_searches_on(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    long_log.fill(database, workspace, "needle")
    further, pages = "deliveries/?q=needle", 0
    while True:
        text = admin_page.get(further).text
        pages += 1
        if rows_of([text]):
            break
        link = re.search(r'id="further" href="([^"]+)"', text)
        assert link
        further = html.unescape(link[1])
    assert pages > 1
