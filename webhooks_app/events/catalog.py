"""The event catalog: the built-in one of `catalog.toml`, and what a deployment's own files make of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from webhooks_app.core.start_errors import StartError
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.events import catalog_files, schema_predicates, schema_violations
from webhooks_app.events.catalog_files import CatalogEntry, CatalogFile, CatalogProblem
from webhooks_app.events.event_types import NAME, EventGroup, EventType
from webhooks_app.events.schema_violations import Violation

CATALOG_PATH = Path(__file__).with_name("catalog.toml")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class CatalogError(StartError):
    """A catalog file is wrong; the message is the first of the `problems`, each with its file and line."""

    def __init__(self, problems: Sequence[CatalogProblem]) -> None:
        self.problems = sorted(problems, key=lambda each: (each.file, each.line or 0))
        super().__init__(str(self.problems[0]))


class Catalog:
    """All event types, by group, by name and with their validators."""

    def __init__(self, groups: Iterable[EventGroup]) -> None:
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

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return, sorted, those of the names that the catalog does not have, or no longer."""
        return sorted(set(names) - self.names)

    def indexed_values(self, name: str, data: Mapping[str, Any]) -> list[str]:
        """Return what a `name` event with that data is found by; nothing for a type that is not in it."""
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


def load(source: Path | None = None) -> Catalog:
    """Read and check the catalog. Raises CatalogError for all that is wrong with it.

    `source` is a file, or a folder of them: a group or an event type of it is added to the built-in ones, or
    replaces the one of its name; where a file says `built_in = false`, there are none but those of `source`.
    """
    if source is None:
        return _built_in()
    problems: list[CatalogProblem] = []
    files = [catalog_files.read(path, problems) for path in catalog_files.paths(source, problems)]
    base = _built_in().groups if all(each.built_in for each in files) else ()
    return _extended(base, files, source, problems)


@cache
def _built_in() -> Catalog:
    """Read and check the package's own file, a constant: once in a process, as checking takes 40 ms."""
    problems: list[CatalogProblem] = []
    return _extended((), [catalog_files.read(CATALOG_PATH, problems)], CATALOG_PATH, problems)


def _extended(
    base: Sequence[EventGroup], files: Sequence[CatalogFile], source: Path, problems: list[CatalogProblem]
) -> Catalog:
    """Return the groups of `base` with what the files of `source` add and replace. Raises CatalogError."""
    titles = {group.key: group.title for group in base}
    event_types = {each.name: each for group in base for each in group.event_types}
    titles |= _titles([entry for file in files for entry in file.groups])
    event_types |= _event_types([entry for file in files for entry in file.event_types], titles, event_types)
    if not event_types and not problems:
        problems.append(CatalogProblem(source.name, None, "the catalog has no event types"))
    if problems:
        raise CatalogError(problems)
    return Catalog(_groups(titles, event_types.values()))


def _groups(titles: Mapping[str, str], event_types: Iterable[EventType]) -> list[EventGroup]:
    every = list(event_types)
    groups = (
        EventGroup(key, title, tuple(each for each in every if each.group == key))
        for key, title in titles.items()
    )
    return [group for group in groups if group.event_types]


def _titles(entries: Sequence[CatalogEntry]) -> dict[str, str]:
    titles: dict[str, str] = {}
    first: dict[str, CatalogEntry] = {}
    for entry in entries:
        entry.refuse_unknown(("key", "title"))
        key = _key(entry, "key", first)
        title = entry.text("title")
        if key:  # also of a group without a title, so that its event types are not blamed
            titles[key] = title
    return titles


def _event_types(
    entries: Sequence[CatalogEntry], titles: Mapping[str, str], others: Iterable[str]
) -> dict[str, EventType]:
    """Return the event types of the entries; `others` are the names that there are besides."""
    event_types: dict[str, EventType] = {}
    by_words = {_words(name): name for name in others}
    first: dict[str, CatalogEntry] = {}
    for entry in entries:
        name = _key(entry, "name", first)
        if name and (alike := by_words.setdefault(_words(name), name)) != name:
            entry.report(f'the name differs from "{alike}" in its punctuation alone', "name")
        event_type = _event_type(name, entry, titles)
        if not entry.is_wrong:
            event_types[name] = event_type
    return event_types


def _words(name: str) -> tuple[str, ...]:
    """Return what is left of a name in generated code, where no two may be the same."""
    return tuple(re.split("[._-]", name))


def _key(entry: CatalogEntry, key: str, first: dict[str, CatalogEntry]) -> str:
    """Return the entry's name, which is to be one and not another's; `first` holds each name's entry."""
    name = entry.text(key)
    if name and not NAME.fullmatch(name):
        entry.report(f"the name must match ^{NAME.pattern}$", key)
    elif name in first:
        taken = first[name]
        entry.report(f"the name is used twice, first in {taken.file}:{taken.lines.header}", key)
    elif name:
        first[name] = entry
        return name
    return ""


def _event_type(name: str, entry: CatalogEntry, titles: Mapping[str, str]) -> EventType:
    """Return the entry's event type, which is of use only if the entry is not wrong."""
    entry.refuse_unknown(("name", "group", "title", "description", "schema", "example", "indexed"))
    group = entry.text("group")
    if group and group not in titles:
        entry.report(f'there is no group "{group}"; the groups are {", ".join(titles)}', "group")
    description, title = entry.text("description"), entry.text("title", is_required=False)
    schema, example = _schema(entry), entry.json_object("example")
    if schema is not None and example is not None:
        _check_example(entry, schema, example)
    indexed = _indexed(entry, schema)
    return EventType(name, group, description, schema or {}, example or {}, indexed, title)


def _indexed(entry: CatalogEntry, schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    names = entry.values.get("indexed", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        entry.report("indexed must be a list of fields of data", "indexed")
        return ()
    if len(names) > len(VALUE_COLUMNS):
        entry.report(f"indexed may name {len(VALUE_COLUMNS)} fields at most", "indexed")
    elif schema is not None:
        for name in names:
            if name not in schema.get("properties", {}):
                entry.report(f'indexed names "{name}", which the schema does not describe', "indexed")
    return tuple(names)


def _schema(entry: CatalogEntry) -> dict[str, Any] | None:
    """Return the schema; None, and reported, where it cannot be one."""
    stated = entry.json_object("schema")
    if stated is None:
        return None
    # The dialect is put in so that a published schema stands alone; one of another dialect would be misread.
    schema = {"$schema": DIALECT, **stated}
    if problem := _schema_problem(schema):
        entry.report(problem, "schema")
        return None
    return schema


def _schema_problem(schema: dict[str, Any]) -> str | None:
    if schema["$schema"] != DIALECT:
        return f"the schema must be of the dialect {DIALECT}"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"the schema is invalid at {error.json_path}: {error.message}"
    return None if schema.get("type") == "object" else 'the schema must say "type": "object"'


def _check_example(entry: CatalogEntry, schema: dict[str, Any], example: dict[str, Any]) -> None:
    try:
        violations = schema_violations.find(schema_violations.validator_of(schema), example)
    except Unresolvable as error:
        entry.report(f"the schema refers to {error.ref}, which is not in it", "schema")
        return
    if violations:
        listed = "; ".join(f"{violation.field} {violation.message}" for violation in violations)
        entry.report(f"the example violates the schema: {listed}", "example")
