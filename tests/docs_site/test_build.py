"""The site: every document is a page with its twin, every link leads on, and nothing comes from elsewhere."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs_site import navigation
from tests.events import shop_catalog
from webhooks_app.events import catalog
from webhooks_app.web.documents import deployed_documents

pytestmark = pytest.mark.long


class Links(HTMLParser):
    """What a page refers to, and what it has within it that the console's policy would not run."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()
        self.inline: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found += [value for name in ("href", "src") if (value := values.get(name))]
        self.ids |= {value for name in ("id", "name") if (value := values.get(name))}
        self.inline += [f"{tag} {name}" for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)


@pytest.fixture(scope="module")
def read(site: Path) -> dict[Path, Links]:
    return {page: Links(page) for page in site.rglob("*.html")}


def test_every_document_is_a_page_with_its_markdown_beside_it(site: Path) -> None:
    documents = {
        str(path.relative_to(navigation.ROOT).with_suffix(""))
        for path in navigation.ROOT.glob("docs/**/*.md")
    }
    assert documents <= set(navigation.all_sources())
    for source in navigation.all_sources():
        place = navigation.place(source)
        assert (site / f"{place}.html").is_file(), source
        assert (site / f"{place}.md").read_text().startswith("# "), source


def test_links_lead_to_a_page_and_a_heading(site: Path, read: dict[Path, Links]) -> None:
    broken = [
        (str(page.relative_to(site)), link)
        for page, links in read.items()
        for link in links.found
        if not _leads_somewhere(page, link, read)
    ]
    assert broken == []
    assert sum(len(links.found) for links in read.values()) > 1_000


def _leads_somewhere(page: Path, link: str, read: dict[Path, Links]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return False
    return not parts.fragment or target not in read or unquote(parts.fragment) in read[target].ids


def test_nothing_is_loaded_from_elsewhere_or_run_from_within_a_page(read: dict[Path, Links]) -> None:
    assert {each for links in read.values() for each in links.inline} == set()
    for page in read:
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:)?//', page.read_text())
        assert loaded == [], page


def test_the_links_of_the_twins_lead_to_twins(site: Path) -> None:
    broken = [
        (str(twin.relative_to(site)), link)
        for twin in site.rglob("*.md")
        if "files" not in twin.relative_to(site).parts
        for link in _markdown_links(twin)
        if not (twin.parent / link).is_file()
    ]
    assert broken == []


def _markdown_links(twin: Path) -> Iterator[str]:
    for fenced, link in re.findall(
        r"(^```.*?^```$)|\]\(([^)#:\s]+)(?:#[^)]*)?\)", twin.read_text(), re.M | re.S
    ):
        if not fenced:
            yield link


def test_llms_txt_lists_every_page_with_a_sentence(site: Path) -> None:
    listed = re.findall(r"^- \[(.+)\]\((.+)\): (.+)$", (site / "llms.txt").read_text(), re.MULTILINE)
    assert [place for _, place, _ in listed] == [
        f"{navigation.place(each)}.md" for each in navigation.all_sources()[1:]
    ]
    assert all((site / place).is_file() for _, place, _ in listed)
    assert "# API reference" in (site / "llms-full.txt").read_text()


def test_the_search_index_knows_words_of_the_pages(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    assert '"idempot' in index or "idempot:" in index


def test_licences_of_what_is_served_come_along(site: Path) -> None:
    assert "Permission is hereby granted" in (site / "_static" / "furo.LICENSE.txt").read_text()
    assert "Redistribution" in (site / "_static" / "sphinx.LICENSE.txt").read_text()


def test_its_markup_takes_pages_of_a_deployments_own_event_types(site: Path, tmp_path: Path) -> None:
    """A theme that writes its pages otherwise is told here, not by a page that is wrong."""
    own = catalog.load(shop_catalog.write(tmp_path))

    def page(name: str) -> str:
        found = deployed_documents.find(name, own, site, base_url="https://hooks.example.com")
        assert found is not None
        return found.content

    paid, start = page("events/order.paid.html"), page("index.html")
    assert '<link rel="alternate" type="text/markdown" href="order.paid.md">' in paid
    assert "<title>order.paid - Avra webhooks</title>" in paid
    assert paid.count("<h1") == 1 and ">order.paid<a" in paid
    assert 'href="#sending-it">Sending it</a>' in paid  # in the contents
    assert "related-pages" not in paid.replace('<div class="related-pages"></div>', "")
    assert 'rel="next"' not in paid
    assert 'href="index.html">Event types</a>' in paid
    assert 'href="order.paid.html">order.paid</a>' in paid
    assert 'href="events/order.paid.html">order.paid</a>' in start
    assert "# order.paid" in page("llms-full.txt")
    assert "A batch inference run was requested" not in page("llms-full.txt")  # the catalog replaces it
    assert "(events/order.paid.md)" in page("llms.txt")
