"""Documents of a deployment's own event types: pages beside those of the site, which has the built-in ones.

The site's list of event types is the frame of their pages; every page's navigation names what there is, and
the search finds it.
"""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NamedTuple

from webhooks_app.events import catalog as catalogs
from webhooks_app.events.catalog import Catalog
from webhooks_app.events.event_types import EventType
from webhooks_app.web.documents import document_search, event_type_documents
from webhooks_app.web.documents.document_blocks import Block, Heading, anchor, as_html, as_markdown
from webhooks_app.web.documents.document_search import SearchedPage

_FOLDER = "events/"
_INDEX = "index"
_INTRODUCTION = """The event types of this platform. `GET /api/v1/event-types` and *Event catalog* in the
console list them, too; [Event types of your own](../catalog.md) says where they come from."""
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
_ARTICLE = re.compile(r'(<article role="main"[^>]*>).*?(</article>)', re.DOTALL)
_CONTENTS = re.compile(r'(<div class="toc-tree">).*?(</div>)', re.DOTALL)
_NEIGHBOURS = re.compile(
    r'(<div class="related-pages">).*?(</div>\s*<div class="bottom-of-page">)', re.DOTALL
)
_LINKED = re.compile(r'<link rel="(?:next|prev)"[^>]*>')
_TWIN = re.compile(r'(<link rel="alternate" type="text/markdown" href=")[^"]*')
# The navigation's entry of the list, and the entries below it.
_NAVIGATION = re.compile(
    r'(<a class="[^"]*" href="(?P<list>[^"]*)">Event types</a>(?:(?!</li>).)*?<ul>).*?(?P<end></ul>)',
    re.DOTALL,
)
_LISTED = re.compile(r"^- \[[^\]]*\]\(events/(?!index\.md)[^)]*\).*\n", re.MULTILINE)
_LIST = re.compile(r"^- \[[^\]]*\]\(events/index\.md\).*\n", re.MULTILINE)


class Document(NamedTuple):
    content: str
    media_type: str


def find(name: str, catalog: Catalog, site: Path, *, base_url: str) -> Document | None:
    """Return the document of that name as this deployment has it; None where it is the site's own.

    Raises LookupError for the page of an event type that the site has and the catalog does not.
    """
    if catalog is catalogs.load():
        return None
    if name in ("llms.txt", "llms-full.txt"):
        return _for_programs(name, catalog, site, base_url)
    if name == "searchindex.js":
        return _for_search(name, catalog, site, base_url)
    stem, _, suffix = name.rpartition(".")
    if suffix not in ("html", "md"):
        return None
    blocks = _blocks(stem, catalog, base_url) if stem.startswith(_FOLDER) else None
    if blocks and suffix == "md":
        return Document(as_markdown(blocks), "text/markdown")
    page = _frame(site) if blocks else _read(site / name)
    if not page or suffix == "md":
        return None
    if blocks:
        page = _filled(page, blocks, stem.removeprefix(_FOLDER))
    return Document(_with_navigation(page, name, catalog), "text/html")


def _blocks(stem: str, catalog: Catalog, base_url: str) -> list[Block] | None:
    """Return what a page below `events/` says; None of a built-in event type, whose page the site has."""
    name = stem.removeprefix(_FOLDER)
    if name == _INDEX:
        return event_type_documents.index(catalog, _INTRODUCTION)
    event_type = catalog.get(name)
    if event_type is None:
        raise LookupError(name)
    return event_type_documents.page(event_type, base_url=base_url) if _is_own(event_type) else None


def _is_own(event_type: EventType) -> bool:
    return catalogs.load().get(event_type.name) != event_type


def _frame(site: Path) -> str:
    return _read(site / _FOLDER / f"{_INDEX}.html")


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _filled(frame: str, blocks: list[Block], name: str) -> str:
    """Return the frame with another page in it."""
    headings = [block for block in blocks if isinstance(block, Heading)]
    parts = "".join(
        f'<li><a class="reference internal" href="#{anchor(each.text)}">{escape(each.text)}</a></li>'
        for each in headings[1:]
    )
    title = escape(headings[0].text)
    contents = f'<ul><li><a class="reference internal" href="#">{title}</a><ul>{parts}</ul></li></ul>'
    page = _TITLE.sub(_as_it_is(f"<title>{title} - Avra webhooks</title>"), frame, count=1)
    page = _ARTICLE.sub(_between(f"<section>{as_html(blocks)}</section>"), page, count=1)
    page = _CONTENTS.sub(_between(contents), page, count=1)
    page = _NEIGHBOURS.sub(_between(""), page, count=1)
    if name != _INDEX:  # the list is another page than this
        page = page.replace('href="#">Event types</a>', f'href="{_INDEX}.html">Event types</a>', 1)
        page = page.replace(" current-page", "", 1)
    page = _TWIN.sub(lambda found: f"{found[1]}{escape(name)}.md", page, count=1)
    return _LINKED.sub("", page)


def _with_navigation(page: str, name: str, catalog: Catalog) -> str:
    """Return the page with the event types that there are in its navigation."""

    def entries(found: re.Match[str]) -> str:
        folder = found["list"].removesuffix(f"{_INDEX}.html").rstrip("#")
        listed = (_entry(each, folder, name == f"{_FOLDER}{each.name}.html") for each in catalog.event_types)
        return f"{found[1]}{''.join(listed)}{found['end']}"

    return _NAVIGATION.sub(entries, page, count=1)


def _entry(event_type: EventType, folder: str, is_current: bool) -> str:
    current = " current current-page" if is_current else ""
    link = f'<a class="reference internal{current}" href="{folder}{event_type.name}.html">'
    return f'<li class="toctree-l2{current}">{link}{event_type.name}</a></li>\n'


def _for_programs(name: str, catalog: Catalog, site: Path, base_url: str) -> Document | None:
    text = _read(site / name)
    if not text:
        return None
    if name == "llms.txt":
        types = catalog.event_types
        lines = [f"- [{each.name}]({_FOLDER}{each.name}.md): {each.description}\n" for each in types]
        listed = f"- [Event types]({_FOLDER}{_INDEX}.md): The event types of this platform.\n{''.join(lines)}"
        text = _LIST.sub(_as_it_is(listed), _LISTED.sub("", text), count=1)
        return Document(text, "text/plain")
    listed = as_markdown(event_type_documents.index(catalog, _INTRODUCTION))
    text = _replaced(text, _read(site / _FOLDER / f"{_INDEX}.md"), listed)
    for each in catalogs.load().event_types:
        if catalog.get(each.name) != each:
            text = _replaced(text, _read(site / _FOLDER / f"{each.name}.md"), "")
    own = [each for each in catalog.event_types if _is_own(each)]
    pages = (as_markdown(event_type_documents.page(each, base_url=base_url)) for each in own)
    return Document("\n".join([text, *pages]), "text/plain")


def _for_search(name: str, catalog: Catalog, site: Path, base_url: str) -> Document | None:
    script = _read(site / name)
    if not script:
        return None
    own = (
        (each, event_type_documents.page(each, base_url=base_url))
        for each in catalog.event_types
        if _is_own(each)
    )
    pages = [
        SearchedPage(f"{_FOLDER}{each.name}", each.name, each.title, as_markdown(blocks))
        for each, blocks in own
    ]
    built_in = catalogs.load().event_types
    left_out = [f"{_FOLDER}{each.name}" for each in built_in if catalog.get(each.name) != each]
    return Document(document_search.merge(script, pages, left_out), "text/javascript")


def _replaced(text: str, page: str, instead: str) -> str:
    """Return the text with something else for a page of it; a site may lack the page."""
    return text.replace(page, instead) if page else text


def _as_it_is(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


def _between(text: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{found[1]}{text}{found[2]}"
