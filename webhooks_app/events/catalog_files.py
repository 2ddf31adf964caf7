"""Files of event types: read, and checked entry by entry, so that each problem has its line."""

import errno
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webhooks_app.core import json_parsing
from webhooks_app.core.json_parsing import InvalidJson
from webhooks_app.events import toml_lines
from webhooks_app.events.toml_lines import TableLines

KINDS = ("groups", "event_types")
_TOP_LEVEL = frozenset({"built_in", *KINDS})
_LINE_OF_ERROR = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class CatalogProblem:
    """What is wrong, in which file and line of it; no line where the file could not be read."""

    file: str
    line: int | None
    message: str
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(each) for each in (self.file, self.line, self.column) if each)
        return f"{place}: {self.message}"


class CatalogEntry:
    """A `[[groups]]` or `[[event_types]]` entry; what is wrong with it goes to `problems`."""

    def __init__(
        self,
        file: str,
        values: Mapping[str, Any],
        lines: TableLines,
        where: str,
        problems: list[CatalogProblem],
    ) -> None:
        self.file = file
        self.values = values
        self.lines = lines
        self.where = where
        self.is_wrong = False
        self._problems = problems

    def report(self, message: str, key: str = "", *, line: int | None = None) -> None:
        """Note what is wrong with the entry, at the line of that key of it if no other is given."""
        self.is_wrong = True
        self._problems.append(
            CatalogProblem(self.file, line or self.lines.of(key), f"{self.where}: {message}")
        )

    def refuse_unknown(self, known: Sequence[str]) -> None:
        for key in self.values.keys() - set(known):
            self.report(f'there is no key "{key}"; an entry has {", ".join(known)}', key)

    def text(self, key: str, *, is_required: bool = True) -> str:
        """Return a text; empty, and reported, where it is none."""
        value = self.values.get(key)
        if value is None and not is_required:
            return ""
        if isinstance(value, str) and value.strip():
            return value
        self.report(f"{key} is missing or empty", key)
        return ""

    def json_object(self, key: str) -> dict[str, Any] | None:
        """Return a JSON object that is written as a text; None, and reported, where it is none."""
        text = self.text(key)
        if not text:
            return None
        try:
            json.loads(text)
            value = json_parsing.parse(text.encode())  # as whoever reads the catalog over the API takes it
        except json.JSONDecodeError as error:
            self.report(f"{key} is not valid JSON: {error}", key, line=self.lines.in_value(key, error.lineno))
            return None
        except InvalidJson as error:
            self.report(f"{key} cannot be used: {error}", key)
            return None
        except (ValueError, RecursionError):
            problem = "it has a number of too many digits, or is nested too deep"
            self.report(f"{key} cannot be used: {problem}", key)
            return None
        if not isinstance(value, dict):
            self.report(f"{key} must be a JSON object", key)
            return None
        return value


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """What one file says. Without `built_in`, the catalog is what the files of a deployment hold, alone."""

    groups: Sequence[CatalogEntry]
    event_types: Sequence[CatalogEntry]
    built_in: bool = True


def paths(source: Path, problems: list[CatalogProblem]) -> list[Path]:
    """Return the file itself, or the TOML files right in a folder, by name."""
    if not source.is_dir():
        return [source]
    # A mounted ConfigMap has hidden folders beside the files.
    found = sorted(path for path in source.glob("*.toml") if not path.name.startswith("."))
    if not found:
        problems.append(CatalogProblem(source.name, None, "the folder has no .toml file"))
    return found


def read(path: Path, problems: list[CatalogProblem]) -> CatalogFile:
    """Read a file; what is wrong with it goes to `problems`."""
    try:
        text = _text_of(path)
        document = tomllib.loads(text)
    except OSError as error:
        problems.append(CatalogProblem(path.name, None, f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(CatalogProblem(path.name, line, "is not valid TOML: it is not in UTF-8"))
    except tomllib.TOMLDecodeError as error:
        line = _line_of(error, text)
        problems.append(CatalogProblem(path.name, line, f"is not valid TOML: {error}"))
    except RecursionError:
        problems.append(CatalogProblem(path.name, None, "is nested too deep"))
    else:
        return _file(path.name, document, text, problems)
    return CatalogFile([], [])


def _text_of(path: Path) -> str:
    """Return what the file holds. Raises OSError and UnicodeDecodeError."""
    if path.exists() and not path.is_file():  # a pipe gives what it holds once, and each process reads it
        raise OSError(errno.EINVAL, "it is no file")
    return path.read_text(encoding="utf-8-sig")  # some editors begin with a byte order mark


def _line_of(error: tomllib.TOMLDecodeError, text: str) -> int:
    found = _LINE_OF_ERROR.search(str(error))
    return int(found[1]) if found else text.count("\n") + 1


def _file(name: str, document: Mapping[str, Any], text: str, problems: list[CatalogProblem]) -> CatalogFile:
    at_top, tables = toml_lines.find(text)

    def report(key: str, message: str) -> None:
        problems.append(CatalogProblem(name, at_top.of(key), message))

    for key in document.keys() - _TOP_LEVEL:
        line = tables[key][0].header if key in tables else at_top.of(key)
        message = f'there is no "{key}"; a catalog has built_in, [[groups]] and [[event_types]]'
        problems.append(CatalogProblem(name, line, message))
    found: dict[str, list[CatalogEntry]] = {}
    for kind in KINDS:
        values = document.get(kind, [])
        if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
            report(kind, f"{kind} must be [[{kind}]] entries")
            values = []
        # Entries that are written in another way than with headers have the line of their list.
        lines = tables.get(kind, [])
        lines = lines if len(lines) == len(values) else [TableLines(at_top.of(kind))] * len(values)
        found[kind] = [
            CatalogEntry(name, each, line, _name_of(kind, each, number), problems)
            for number, (each, line) in enumerate(zip(values, lines, strict=True), start=1)
        ]
    built_in = document.get("built_in", True)
    if not isinstance(built_in, bool):
        report("built_in", "built_in must be true or false")
    return CatalogFile(found["groups"], found["event_types"], built_in is not False)


def _name_of(kind: str, values: Mapping[str, Any], number: int) -> str:
    what, key = ("group", "key") if kind == "groups" else ("event type", "name")
    name = values.get(key)
    return f'{what} "{name}"' if isinstance(name, str) and name.strip() else f"{what} number {number}"
