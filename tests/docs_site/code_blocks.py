"""The code that the documents show, each fenced block by its document and its first line."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from docs_site.navigation import ROOT

_FENCE = re.compile(r"^ *```([\w-]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_VERIFICATION = "\n## Verification code\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a document. `name` is its first line, with a number where several begin alike."""

    document: str
    name: str
    language: str
    code: str


def documents() -> list[str]:
    """Return every document, by its path in the repository."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("clients/**/*.md")]
    found += [*ROOT.glob("deploy/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def text(document: str) -> str:
    """Return a document, without the Verify tab's code, which tests/test_snippets.py runs."""
    return (ROOT / document).read_text().partition(_VERIFICATION)[0]


def blocks(document: str, language: str | None = None) -> list[Block]:
    """Return the document's blocks in their order, those of a language where one is named."""
    return [each for each in _blocks(document) if language in (None, each.language)]


def _blocks(document: str) -> Iterator[Block]:
    names = Counter[str]()
    for language, code in _FENCE.findall(text(document)):
        first = code.strip().partition("\n")[0].split("    #")[0].strip()
        names[first] += 1
        name = first if names[first] == 1 else f"{first} ({names[first]})"
        yield Block(document, name, language, code)


def block(document: str, name: str) -> str:
    """Return the code of a block by its name."""
    [code] = [each.code for each in blocks(document) if each.name == name]
    return code
