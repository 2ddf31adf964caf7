"""Mends what the theme's markup withholds from people who read with a keyboard or a screen reader."""

import re
from pathlib import Path

_MENDED = (
    (re.compile(r'<p class="caption" role="heading">'), '<p class="caption" role="heading" aria-level="2">'),
    (re.compile(r'<aside class="sidebar-drawer">'), '<aside class="sidebar-drawer" aria-label="All pages">'),
    (
        re.compile(r'<aside class="toc-drawer([^"]*)">'),
        r'<aside class="toc-drawer\1" aria-label="This page">',
    ),
    # Code that is wider than the page is scrolled with the arrows, once it has the focus.
    (re.compile(r"<pre>"), '<pre tabindex="0">'),
    # Of a table without words in its head.
    (re.compile(r'<th class="head"><p></p></th>'), "<td></td>"),
)


def mend(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        for pattern, replacement in _MENDED:
            text = pattern.sub(replacement, text)
        page.write_text(text)
