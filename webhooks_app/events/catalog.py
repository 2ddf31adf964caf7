"""The event catalog of `catalog.toml`: which event types there are, and what their `data` looks like."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

CATALOG_PATH = Path(__file__).with_name("catalog.toml")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")

# A list of a million bad items must not become an answer of a million problems.
MAX_PROBLEMS = 20

# RFC 3339 section 5.6. `fromisoformat` alone would also take week dates and times without an offset.
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

# A registry of nothing, so that a `$ref` to some URL is an error instead of a download while events come in.
NO_REMOTE_SCHEMAS: Registry[Any] = Registry()
FORMATS = FormatChecker()


class CatalogError(ValueError):
    """The catalog file is wrong; the message says where and what to do about it."""


@dataclass(frozen=True, slots=True)
class EventType:
    name: str
    group: str
    description: str
    schema: dict[str, Any] = field(hash=False)
    example: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Group:
    key: str
    title: str
    event_types: tuple[EventType, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`field` is a dotted path (`data.error.code`, `data.aliases.0`); with `message` it makes a sentence."""

    field: str
    message: str


class Catalog:
    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = tuple(groups)
        self.event_types = tuple(each for group in self.groups for each in group.event_types)
        self._by_name = {each.name: each for each in self.event_types}
        self._validators = {
            each.name: Draft202012Validator(each.schema, format_checker=FORMATS, registry=NO_REMOTE_SCHEMAS)
            for each in self.event_types
        }
        self.names = frozenset(self._by_name)

    def get(self, name: str) -> EventType | None:
        return self._by_name.get(name)

    def problems(self, name: str, data: object) -> list[Problem]:
        """What keeps `data` (parsed JSON) from being the data of a `name` event; empty when nothing does."""
        validator = self._validators.get(name)
        if validator is None:
            return [Problem("type", "is not an event type of the catalog")]
        errors = islice(validator.iter_errors(data), MAX_PROBLEMS)
        return list(dict.fromkeys(problem for error in errors for problem in _problems_of(error)))


@cache
def catalog() -> Catalog:
    return load()


def load(path: Path | None = None) -> Catalog:
    """Read and check a catalog file; raises `CatalogError` on the first thing that is wrong with it."""
    source = path or CATALOG_PATH
    try:
        loaded = Catalog(_groups(_read(source)))
        _check_examples(loaded)
    except CatalogError as error:
        raise CatalogError(f"{source.name}: {error}") from error.__cause__
    return loaded


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"is not valid TOML: {error}") from error


def _groups(document: Mapping[str, Any]) -> Iterator[Group]:
    titles = _titles(_entries(document, "groups"))
    event_types = _event_types(_entries(document, "event_types"), titles)
    for key, title in titles.items():
        yield Group(key, title, tuple(each for each in event_types if each.group == key))


def _entries(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    entries = document.get(kind)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CatalogError(f"needs [[{kind}]] entries")
    return entries


def _titles(entries: list[dict[str, Any]]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for number, entry in enumerate(entries, start=1):
        key = _text(entry, "key", where=f"group number {number}")
        where = f'group "{key}"'
        _check_key(key, taken=titles, where=where)
        titles[key] = _text(entry, "title", where)
    return titles


def _event_types(entries: list[dict[str, Any]], titles: Mapping[str, str]) -> list[EventType]:
    event_types: dict[str, EventType] = {}
    for number, entry in enumerate(entries, start=1):
        name = _text(entry, "name", where=f"event type number {number}")
        where = f'event type "{name}"'
        _check_key(name, taken=event_types, where=where)
        event_types[name] = _event_type(name, entry, titles, where)
    return list(event_types.values())


def _event_type(name: str, entry: Mapping[str, Any], titles: Mapping[str, str], where: str) -> EventType:
    group = _text(entry, "group", where)
    if group not in titles:
        raise CatalogError(f'{where}: there is no group "{group}"; the groups are {", ".join(titles)}')
    return EventType(
        name=name,
        group=group,
        description=_text(entry, "description", where),
        schema=_schema(entry, where),
        example=_json_object(entry, "example", where),
    )


def _check_key(key: str, *, taken: Mapping[str, object], where: str) -> None:
    if not NAME.fullmatch(key):
        raise CatalogError(f"{where}: the name must match ^{NAME.pattern}$")
    if key in taken:
        raise CatalogError(f"{where}: the name is used twice")


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise CatalogError(f"{where}: {name} is missing or empty")
    return value


def _json_object(entry: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(_text(entry, name, where))
    except json.JSONDecodeError as error:
        raise CatalogError(f"{where}: {name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CatalogError(f"{where}: {name} must be a JSON object")
    return value


def _schema(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    # The dialect is put in so that a published schema stands alone; one of another dialect would be misread.
    schema = {"$schema": DIALECT, **_json_object(entry, "schema", where)}
    if schema["$schema"] != DIALECT:
        raise CatalogError(f"{where}: the schema must be of the dialect {DIALECT}")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise CatalogError(f"{where}: the schema is invalid at {error.json_path}: {error.message}") from error
    if schema.get("type") != "object":
        raise CatalogError(f'{where}: the schema must say "type": "object"')
    return schema


def _check_examples(loaded: Catalog) -> None:
    for each in loaded.event_types:
        where = f'event type "{each.name}"'
        try:
            problems = loaded.problems(each.name, each.example)
        except Unresolvable as error:
            raise CatalogError(f"{where}: the schema refers to {error.ref}, which is not in it") from error
        if problems:
            listed = "; ".join(f"{problem.field} {problem.message}" for problem in problems)
            raise CatalogError(f"{where}: the example violates the schema: {listed}")


@FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return bool(DATE_TIME.fullmatch(value) and datetime.fromisoformat(value.upper()))


def _problems_of(error: ValidationError) -> Iterator[Problem]:
    path = ".".join(["data", *map(str, error.absolute_path)])
    if error.validator == "required":
        # One such error comes per missing field, each about all of them: the caller drops the repeats.
        missing = (name for name in error.validator_value if name not in error.instance)
        yield from (Problem(f"{path}.{name}", "is required") for name in missing)
    else:
        yield Problem(path, _message(error))


def _message(error: ValidationError) -> str:
    # The library's own messages quote the value, which may be large, or a secret sent in the wrong field.
    rule, value = error.validator, error.validator_value
    return WORDINGS.get(rule, f"does not satisfy the schema's {rule!r} rule").format(_words(rule, value))


def _words(rule: str, value: object) -> str:
    listed: list[Any] = value if isinstance(value, list) else [value]
    if rule == "type":
        return " or ".join(TYPE_WORDS.get(name, f"a {name}") for name in listed)
    if rule == "format":
        return FORMAT_WORDS.get(str(value), f"a valid {value}")
    return ", ".join(each if isinstance(each, str) else json.dumps(each) for each in listed)


WORDINGS = {
    "type": "must be {}",
    "enum": "must be one of {}",
    "format": "must be {}",
    "pattern": "must match {}",
    "minLength": "must have {} or more characters",
    "maxLength": "must have {} or fewer characters",
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "minItems": "must have {} or more items",
    "maxItems": "must have {} or fewer items",
}

TYPE_WORDS = {"object": "an object", "array": "a list", "integer": "a whole number", "null": "null"}
FORMAT_WORDS = {"date-time": "a date and time with its offset, such as 2025-01-31T09:30:00Z"}
