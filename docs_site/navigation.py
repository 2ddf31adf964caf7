"""Which pages the site has, in the order of its navigation; those not named come in the last section."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Section(NamedTuple):
    """Pages by their paths in the repository, without `.md`; a path that ends in `*` is every one there."""

    title: str
    sources: tuple[str, ...]


HOME = "docs/README"
SECTIONS = (
    Section(
        "Producers",
        ("docs/producers", "clients/python/README", "docs/outbox", "clients/python/examples/README"),
    ),
    Section("Consumers", ("docs/consumers", "docs/shell")),
    Section("Admins", ("docs/admins", "docs/health", "docs/endpoints-file", "docs/catalog", "docs/console")),
    Section(
        "Operators",
        (
            "docs/production",
            "docs/operations",
            "docs/retention",
            "docs/many-hosts",
            "docs/scaling",
            "docs/sign-in",
            "SECURITY",
            "docs/threats",
        ),
    ),
    Section("Reference", ("docs/api", "docs/reference/*", "docs/events/README", "docs/events/*")),
    Section("Figures", ("docs/performance", "docs/faults")),
    Section(
        "The project",
        ("README", "CHANGELOG", "CONTRIBUTING", "docs/*", "docs/decisions/README", "docs/decisions/*"),
    ),
)
# Where a page is on the site, if not where it is below `docs/`.
_MOVED = {
    HOME: "index",
    "README": "project/readme",
    "CHANGELOG": "project/changelog",
    "CONTRIBUTING": "project/contributing",
    "SECURITY": "security",
    "clients/python/README": "client",
    "clients/python/examples/README": "outbox-examples",
    "docs/decisions/README": "decisions/index",
    "docs/events/README": "events/index",
}


def sources(section: Section) -> Iterator[str]:
    """Yield the section's pages, by their paths in the repository without `.md`."""
    named = {HOME, *(source for each in SECTIONS for source in each.sources)}
    for source in section.sources:
        if source.endswith("*"):
            found = sorted(str(path.relative_to(ROOT).with_suffix("")) for path in ROOT.glob(f"{source}.md"))
            yield from (each for each in found if each not in named)
        else:
            yield source


def all_sources() -> list[str]:
    return [HOME, *(source for section in SECTIONS for source in sources(section))]


def place(source: str) -> str:
    """Return where a page is on the site, without its suffix."""
    return _MOVED.get(source) or source.removeprefix("docs/")
