"""The site's search index with the event types of a deployment, as Sphinx's script reads it. Pure.

Sphinx files words by their English stems, and looks for the stem of what is asked. A stem is how its word
begins, so no stemmer is needed here: a page is filed under the word itself, in which the script finds a stem
that is filed nowhere else, and under each beginning that is.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

_CALL = re.compile(r"Search\.setIndex\((.*)\)\s*;?\s*", re.DOTALL)
_WORD = re.compile(r"\w+")
_SHORTEST_STEM = 3


class SearchedPage(NamedTuple):
    """A page: where it is, without its suffix; its heading; what else is prominent; all that it says."""

    place: str
    heading: str
    subtitle: str
    text: str


def merge(script: str, pages: Iterable[SearchedPage], left_out: Iterable[str]) -> str:
    """Return the index's script with these pages added, and without what it knew of the places left out.

    A script that is none of Sphinx's as they are known here is returned as it is.
    """
    found = _CALL.fullmatch(script)
    try:
        index = json.loads(found[1]) if found else None
    except ValueError:
        index = None
    if index is None:
        return script
    gone = {index["docnames"].index(each) for each in left_out if each in index["docnames"]}
    for part in ("terms", "titleterms"):
        index[part] = dict(_without(index[part], gone))
    titles = index["alltitles"].items()
    index["alltitles"] = {
        title: kept for title, places in titles if (kept := [each for each in places if each[0] not in gone])
    }
    for page in pages:
        _add(index, page)
    return f"Search.setIndex({json.dumps(index, ensure_ascii=False)})"


def _without(terms: Mapping[str, int | list[int]], gone: set[int]) -> Iterator[tuple[str, list[int]]]:
    for term, found in terms.items():
        kept = [each for each in (found if isinstance(found, list) else [found]) if each not in gone]
        if kept:
            yield term, kept


def _add(index: dict[str, Any], page: SearchedPage) -> None:
    number = len(index["docnames"])
    index["docnames"].append(page.place)
    index["filenames"].append(f"{page.place}.md")
    heading = escape(page.heading)  # the script shows it as HTML
    index["titles"].append(heading)
    index["alltitles"].setdefault(heading, []).append([number, None])
    for part, text in (("terms", page.text), ("titleterms", f"{page.heading} {page.subtitle}")):
        terms: dict[str, list[int]] = index[part]
        for term in {term for word in _words(text) for term in _filed_under(word, terms)}:
            terms.setdefault(term, []).append(number)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}


def _filed_under(word: str, terms: Mapping[str, object]) -> Iterator[str]:
    """Yield the word, and each known term that may be its stem: delivery has the stem deliveri."""
    yield word
    if word.endswith("y"):
        yield f"{word[:-1]}i"
    for end in range(_SHORTEST_STEM, len(word)):
        if word[:end] in terms:
            yield word[:end]
