"""Moves scripts and styles out of the pages into files, as the console's policy allows none within a page."""

import hashlib
import re
from pathlib import Path

_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
# Of a drawing, where each property has an attribute of its name (SVG 2, 6.6).
_STYLED = re.compile(r'(<(?:svg|path|line|circle)\b[^>]*?) style="([^"]*)"')
_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)


def move_out(site: Path) -> None:
    """Replace what pages have inline by files below `_static/`, named by their content."""
    for page in sorted(site.rglob("*.html")):
        to_root = "../" * (len(page.relative_to(site).parts) - 1)
        text = _SCRIPT.sub(lambda match: _script(site, to_root, match[1]), page.read_text())  # noqa: B023
        text = _STYLE.sub(lambda match: _style(site, to_root, match[1]), text)  # noqa: B023
        page.write_text(_STYLED.sub(lambda match: match[1] + _attributes(match[2]), text))


def _attributes(style: str) -> str:
    properties = (part.split(":", 1) for part in style.split(";") if part.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in properties)


def _script(site: Path, to_root: str, code: str) -> str:
    return f'<script src="{to_root}{_write(site, code, "js")}"></script>'


def _style(site: Path, to_root: str, code: str) -> str:
    return f'<link rel="stylesheet" href="{to_root}{_write(site, code, "css")}">'


def _write(site: Path, code: str, suffix: str) -> str:
    code = code.strip() + "\n"
    digest = hashlib.sha256(code.encode()).hexdigest()[:8]
    name = f"_static/page-{digest}.{suffix}"
    (site / name).write_text(code)
    return f"{name}?v={digest}"  # as Sphinx marks what may be kept for good
