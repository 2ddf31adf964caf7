"""Each page's Markdown beside its HTML; `llms.txt` and `llms-full.txt` for programs (llmstxt.org)."""

import re
import shutil
from pathlib import Path

from docs_site import navigation

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_INTRODUCTION = (
    "A self-hosted webhook platform: applications hand over events through a JSON API; Avra delivers them, "
    "signed and with retries, to the endpoints that subscribe to them."
)
# What fills llms-full.txt without helping anybody who sends, receives or runs.
_SHORT_ONLY = "The project"


def write(markdown: Path, site: Path) -> None:
    """Copy the Markdown, with what it links to, into the site, and list it."""
    shutil.copytree(markdown, site, dirs_exist_ok=True)
    (site / "llms.txt").write_text(_listed(markdown))
    (site / "llms-full.txt").write_text(_joined(markdown))


def _listed(markdown: Path) -> str:
    parts = [f"# Avra webhooks\n\n> {_INTRODUCTION}\n"]
    for section in navigation.SECTIONS:
        lines = [_line(markdown, navigation.place(source)) for source in navigation.sources(section)]
        parts.append(f"## {section.title}\n\n" + "".join(lines))
    return "\n".join(parts)


def _line(markdown: Path, place: str) -> str:
    text = (markdown / f"{place}.md").read_text()
    return f"- [{title(text)}]({place}.md): {summary(text)}\n"


def _joined(markdown: Path) -> str:
    places = [
        navigation.place(source)
        for section in navigation.SECTIONS
        if section.title != _SHORT_ONLY
        for source in navigation.sources(section)
    ]
    return "\n".join((markdown / f"{place}.md").read_text() for place in ("index", *places))


def title(text: str) -> str:
    match = _TITLE.search(text)
    assert match, "a page begins with its title"
    return match[1]


def summary(text: str) -> str:
    """Return the first sentence below the title, without its links."""
    body = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n", body.strip())
    first = next((each for each in paragraphs if re.match(r"[A-Z`\[(*]", each)), "")
    plain = " ".join(_LINK.sub(r"\1", first).split())
    return re.split(r"(?<=[.:]) ", plain)[0].rstrip(":")
