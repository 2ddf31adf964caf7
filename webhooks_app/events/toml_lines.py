"""In which line of a TOML file its tables and their keys stand, which its parser does not tell. Pure."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

# Strings of the four kinds, and comments: nothing in them is a header or a key.
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_HEADER = re.compile(r"\s*\[\[\s*([A-Za-z0-9_-]+)\s*\]\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
# The first line break of such a string is no part of it.
_OPENS_BELOW = re.compile(r"=\s*(\"\"\"|''')\s*$")


@dataclass(slots=True)
class TableLines:
    """The line of a table's header, and those in which its keys and the text of their values begin."""

    header: int
    keys: dict[str, int] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)

    def of(self, key: str) -> int:
        return self.keys.get(key, self.header)

    def in_value(self, key: str, line: int) -> int:
        """Return the file's line of a line of the value's text."""
        return self.values.get(key, self.header) + line - 1


def find(text: str) -> tuple[TableLines, dict[str, Sequence[TableLines]]]:
    """Return the lines of the top-level keys, and of each `[[array]]` those of its tables, in their order."""
    at_top = current = TableLines(1)
    tables: defaultdict[str, list[TableLines]] = defaultdict(list)
    lines = text.split("\n")
    for number, line in enumerate(_without_text(text).split("\n"), start=1):
        if header := _HEADER.match(line):
            current = TableLines(number)
            tables[header[1]].append(current)
        elif key := _KEY.match(line):
            current.keys.setdefault(key[1], number)
            current.values.setdefault(key[1], number + bool(_OPENS_BELOW.search(lines[number - 1])))
    return at_top, dict(tables)


def _without_text(text: str) -> str:
    """Return the text with as many lines, but with no strings and comments."""
    return _TEXT.sub(lambda found: "\n" * found[0].count("\n"), text)
