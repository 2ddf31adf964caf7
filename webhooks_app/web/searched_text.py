"""What the reader of the log looks for, marked in what is shown."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qs

from flask import g, request

from webhooks_app.core import text_display
from webhooks_app.deliveries.log.filter_values import LONGEST_TEXT
from webhooks_app.deliveries.log.filters import LogFilter
from webhooks_app.deliveries.log.payload_text import PayloadText


class ShownPart(NamedTuple):
    """A stretch of text: `is_escape` as in `text_display.Part`; `is_match` where it is looked for."""

    text: str
    is_escape: bool
    is_match: bool


def searched_text() -> str:
    """Return the text of the log's filter: of this page or, in a fragment's request, of its page."""
    if "searched_text" not in g:
        page_url = request.headers.get("HX-Current-URL", "").partition("#")[0]
        page = parse_qs(page_url.partition("?")[2])
        q = request.args.get("q") or next(iter(page.get("q", ())), "")
        g.searched_text = LogFilter(q=q[:LONGEST_TEXT].replace("\0", "").strip()).text
    text: str = g.searched_text
    return text


def shown_parts(content: bytes | str) -> Iterator[ShownPart]:
    """Yield the content as `text_display.display_parts` gives it, with matches of the text apart."""
    text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
    text = text.replace("\r\n", "\n")
    end = 0
    for start, stop in PayloadText.of(searched_text()).spans(text):
        yield from _parts(text[end:start], is_match=False)
        yield from _parts(text[start:stop], is_match=True)
        end = stop
    yield from _parts(text[end:], is_match=False)


def _parts(text: str, *, is_match: bool) -> Iterator[ShownPart]:
    for part in text_display.display_parts(text):
        yield ShownPart(*part, is_match)
