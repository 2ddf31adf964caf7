"""Every document that is made of the code, with its text as it should be."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs_site.navigation import ROOT
from docs_site.reference import event_types, failures, relay, retries, settings, shell, verification
from webhooks_app.web.api import reference as api

_PART = re.compile(r"(<!-- made: (\w+) -->\n)(?:(?!<!-- end -->).)*(<!-- end -->)", re.DOTALL)
_PARTS: Mapping[str, Callable[[], str]] = {
    "answers": failures.answers,
    "disabling": retries.disabling,
    "limits": retries.limits,
    "relay": relay.write,
    "schedule": retries.schedule,
    "verification": verification.write,
}
# Written by hand, with parts that are made.
_WITH_PARTS = ("docs/consumers.md", "docs/outbox.md")


def all_pages() -> dict[Path, str]:
    """Return the text of each document, by its path."""
    pages = {
        "docs/api.md": api.write(),
        "docs/reference/settings.md": settings.write(),
        "docs/reference/shell.md": shell.write(),
        "docs/reference/failures.md": failures.write(),
        **{f"docs/events/{name}.md": text for name, text in event_types.write().items()},
        **{name: fill_in((ROOT / name).read_text()) for name in _WITH_PARTS},
    }
    return {ROOT / name: text for name, text in pages.items()}


def fill_in(text: str) -> str:
    """Return a page with its parts made anew. Raises KeyError for a part that there is none of."""
    return _PART.sub(lambda match: f"{match[1]}{_PARTS[match[2]]()}\n{match[3]}", text)
