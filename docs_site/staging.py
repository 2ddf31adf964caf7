"""The Markdown of the site: that of the repository, with its links as they lead on the site."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from docs_site import navigation

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^ *(```|~~~)")
FILES = "files"  # where files that pages link to are


def stage(target: Path) -> None:
    """Write every page, and what pages show or link to, into the folder."""
    for source in navigation.all_sources():
        written = target / f"{navigation.place(source)}.md"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(rewrite((navigation.ROOT / f"{source}.md").read_text(), source, target))


def rewrite(text: str, source: str, target: Path) -> str:
    """Return the page with each link to a file of the repository as one to where that is on the site.

    Files that are no pages are copied into `target`; what a folder's name links to is left as its name.
    """
    folder = (navigation.ROOT / source).parent
    start = Path(navigation.place(source)).parent

    def replace(match: re.Match[str]) -> str:
        mark, label, link, anchor = match.groups()
        place = _place((folder / link).resolve(), target)
        if place is None:
            return label
        return f"{mark}[{label}]({os.path.relpath(place, start)}{anchor or ''})"

    return _outside_of_code(text, lambda line: _LINK.sub(replace, line))


def _place(linked: Path, target: Path) -> str | None:
    name = str(linked.relative_to(navigation.ROOT))
    page = f"{name}/README" if linked.is_dir() else name.removesuffix(".md")
    if page in navigation.all_sources():
        return f"{navigation.place(page)}.md"
    if not linked.is_file():
        return None
    place = name.removeprefix("docs/") if name.startswith("docs/images/") else f"{FILES}/{name}"
    (target / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(linked, target / place)
    return place


def _outside_of_code(text: str, change: Callable[[str], str]) -> str:
    lines, is_code = [], False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            is_code = not is_code
        lines.append(line if is_code else change(line))
    return "".join(lines)
