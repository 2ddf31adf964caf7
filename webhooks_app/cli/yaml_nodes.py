"""YAML of a bounded size as nodes that know their line and column, so that each problem has its place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import yaml

from webhooks_app.events.catalog_files import CatalogProblem

# Thousands of endpoints; what is deeper or larger is no file of endpoints.
LARGEST_BYTES = 2 * 1024 * 1024
_MOST_EVENTS = 200_000
_DEEPEST = 20
# libyaml's is twenty times as fast.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


@dataclass
class Problems:
    """What is wrong with one file."""

    file: str
    found: list[CatalogProblem] = field(default_factory=list)

    def report(self, message: str, mark: Any = None) -> None:
        """Note it, at the Mark that the parser or a node has."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        self.found.append(CatalogProblem(self.file, line, message, column))


def compose(raw: bytes, problems: Problems) -> yaml.Node | None:
    """Return the file's one document; None, and reported, where it is none."""
    if len(raw) > LARGEST_BYTES:
        problems.report(f"is larger than {LARGEST_BYTES // 1024 // 1024} MiB")
        return None
    try:
        text = raw.decode("utf-8-sig")
        if not _is_bounded(text, problems):
            return None
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except UnicodeDecodeError:
        problems.report("is not in UTF-8")
    except yaml.MarkedYAMLError as error:
        what = ", ".join(filter(None, (error.context, error.problem)))
        problems.report(f"is not valid YAML: {what}", error.problem_mark)
    except yaml.YAMLError as error:
        problems.report(f"is not valid YAML: {str(error).splitlines()[0]}")
    else:
        if node is None:
            problems.report("is empty")
        return node
    return None


def _is_bounded(text: str, problems: Problems) -> bool:
    """Look through the file before anything is built of it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or count > _MOST_EVENTS:
            problems.report("is nested too deeply, or too large", event.start_mark)
            return False
    return True


class MappingReader:
    """Reads a mapping whose keys are known; what is wrong with it is reported at its place.

    An alias stands for what it names; `<<` merges nothing.
    """

    def __init__(self, node: yaml.Node, where: str, problems: Problems) -> None:
        self.where = where
        self.problems = problems
        self.start = node.start_mark
        self._values = dict[str, yaml.Node]()
        self._keys = dict[str, yaml.Node]()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._add(key, value)
        else:
            self.report("must be a mapping of keys and values")

    def items(self) -> Sequence[tuple[str, yaml.Node]]:
        return list(self._values.items())

    def has(self, key: str) -> bool:
        return key in self._values

    def mark(self, key: str) -> yaml.Mark:
        """Return where the value of a key stands, or the mapping."""
        return self._values[key].start_mark if key in self._values else self.start

    def report(self, message: str, mark: yaml.Mark | None = None) -> None:
        self.problems.report(f"{self.where}: {message}" if self.where else message, mark or self.start)

    def refuse_unknown(self, known: Sequence[str]) -> None:
        for key in self._keys.keys() - set(known):
            close = get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            self.report(f'there is no key "{key}"; {hint}', self._keys[key].start_mark)

    def text(self, key: str) -> str | None:
        """Return a text as it is written; None where there is none, reported where it is something else."""
        node = self._values.get(key)
        if node is None or _is_null(node):
            return None
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self.report(f"{key} must be a text", node.start_mark)
        return None

    def whole_number(self, key: str) -> int | None:
        text = self.text(key)
        if text is None:
            return None
        if re.fullmatch("[0-9]{1,9}", text):
            return int(text)
        self.report(f"{key} must be a whole number", self.mark(key))
        return None

    def truth(self, key: str) -> bool | None:
        text = self.text(key)
        if text is None:
            return None
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        self.report(f"{key} must be true or false", self.mark(key))
        return None

    def texts(self, key: str) -> list[tuple[str, yaml.Mark]]:
        """Return a list of texts with their places; empty, and reported, where it is something else."""
        node = self._values.get(key)
        if node is None or _is_null(node):
            return []
        entries: list[Any] = node.value if isinstance(node, yaml.SequenceNode) else [None]
        if all(isinstance(each, yaml.ScalarNode) for each in entries):
            return [(str(each.value), each.start_mark) for each in entries]
        self.report(f"{key} must be a list of texts", node.start_mark)
        return []

    def one_or_more_texts(self, key: str) -> list[str]:
        """Return a text, or those of a list; empty, and reported, where it is something else."""
        node = self._values.get(key)
        if isinstance(node, yaml.SequenceNode):
            return [text for text, _ in self.texts(key)]
        text = self.text(key)
        return [] if text is None else [text]

    def has_null(self, key: str) -> bool:
        """Return whether there is a key without a value, or with one of a list that is none."""
        node = self._values.get(key)
        if node is None:
            return False
        return any(map(_is_null, node.value if isinstance(node, yaml.SequenceNode) else [node]))

    def mapping(self, key: str, where: str) -> "MappingReader | None":
        node = self._values.get(key)
        return None if node is None or _is_null(node) else MappingReader(node, where, self.problems)

    def _add(self, key: yaml.Node, value: yaml.Node) -> None:
        if not isinstance(key, yaml.ScalarNode):
            self.report("a key must be a text", key.start_mark)
        elif key.tag == "tag:yaml.org,2002:merge":
            self.report('"<<" merges nothing here; write the keys out', key.start_mark)
        elif key.value in self._keys:
            first = self._keys[key.value].start_mark.line + 1
            self.report(f'"{key.value}" is there twice, first in line {first}', key.start_mark)
        else:
            self._keys[key.value], self._values[key.value] = key, value


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def marks_of(reader: MappingReader) -> Mapping[str, yaml.Mark]:
    """Return where the value of each key stands."""
    return {key: node.start_mark for key, node in reader.items()}
