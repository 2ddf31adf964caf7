"""The event catalog, read from `catalog.toml` and checked."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.events import schema_predicates, schema_violations
from webhooks_app.events.event_types import NAME, EventType, Group
from webhooks_app.events.schema_violations import Violation

CATALOG_PATH = Path(__file__).with_name("catalog.toml")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class CatalogError(ValueError):
    """The catalog file is wrong; the message says where and what to do about it."""


class Catalog:
    """All event types, by group, by name and with their validators."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = tuple(groups)
        self.event_types = tuple(each for group in self.groups for each in group.event_types)
        self._by_name = {each.name: each for each in self.event_types}
        self._validators = {
            each.name: schema_violations.validator_of(each.schema) for each in self.event_types
        }
        self._checks = {each.name: schema_predicates.check_of(each.schema) for each in self.event_types}
        self.names = frozenset(self._by_name)

    def get(self, name: str) -> EventType | None:
        return self._by_name.get(name)

    def indexed_values(self, name: str, data: Mapping[str, Any]) -> list[str]:
        """Return what a `name` event with that data is found by; nothing for a type that has left."""
        event_type = self._by_name.get(name)
        return event_type.indexed_values(data) if event_type else []

    def violations(self, name: str, data: object) -> list[Violation]:
        """Return what keeps `data` (parsed JSON) from being the data of a `name` event; empty if nothing."""
        validator = self._validators.get(name)
        if validator is None:
            return [Violation("type", "is not an event type of the catalog")]
        check = self._checks[name]
        if check is not None and check(data):
            return []
        return schema_violations.find(validator, data)


def load(path: Path | None = None) -> Catalog:
    """Read and check a catalog file. Raises CatalogError for the first thing that is wrong with it."""
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
    schema = _schema(entry, where)
    return EventType(
        name=name,
        group=group,
        description=_text(entry, "description", where),
        schema=schema,
        example=_json_object(entry, "example", where),
        indexed=_indexed(entry, schema, where),
    )


def _indexed(entry: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> tuple[str, ...]:
    names = entry.get("indexed", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CatalogError(f"{where}: indexed must be a list of fields of data")
    if len(names) > len(VALUE_COLUMNS):
        raise CatalogError(f"{where}: indexed may name {len(VALUE_COLUMNS)} fields at most")
    for name in names:
        if name not in schema.get("properties", {}):
            raise CatalogError(f'{where}: indexed names "{name}", which the schema does not describe')
    return tuple(names)


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
            violations = loaded.violations(each.name, each.example)
        except Unresolvable as error:
            raise CatalogError(f"{where}: the schema refers to {error.ref}, which is not in it") from error
        if violations:
            listed = "; ".join(f"{violation.field} {violation.message}" for violation in violations)
            raise CatalogError(f"{where}: the example violates the schema: {listed}")
