"""What of one catalog another one breaks: types that leave, and data that would be refused."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from webhooks_app.events.catalog import Catalog
from webhooks_app.events.event_types import EventType

_LOWER_BOUNDS = frozenset({"minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties"})
_UPPER_BOUNDS = frozenset({"maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties"})
# These say nothing about what is valid, or are compared on their own.
_NO_RULES = frozenset(
    {
        *("$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"),
        *("readOnly", "writeOnly", "properties", "required", "type", "enum", "items"),
    }
)


class ChangeKind(StrEnum):
    """How a change breaks: in the order in which changes are listed."""

    REMOVED = "removed"
    REQUIRED = "required"
    NARROWED = "narrowed"
    EXAMPLE = "example"


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """What breaks of an event type; `what` is the field and what is new about it."""

    kind: ChangeKind
    event_type: str
    what: str = ""


def breaking(old: Catalog, new: Catalog) -> list[CatalogChange]:
    """Return what events that `old` accepts `new` may refuse, by event type.

    A field that is described for the first time is no change, as nobody is known to send it.
    """
    return [change for each in old.event_types for change in _changes(each, new)]


def _changes(old: EventType, catalog: Catalog) -> Iterator[CatalogChange]:
    new = catalog.get(old.name)
    if new is None:
        yield CatalogChange(ChangeKind.REMOVED, old.name)
        return
    yield from (
        CatalogChange(kind, old.name, what) for kind, what in _narrowed(old.schema, new.schema, "data")
    )
    for violation in catalog.violations(old.name, old.example):
        what = f"the example until now: {violation.field} {violation.message}"
        yield CatalogChange(ChangeKind.EXAMPLE, old.name, what)


def _narrowed(old: Any, new: Any, path: str) -> Iterator[tuple[ChangeKind, str]]:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        if new is False and old is not False:
            yield ChangeKind.NARROWED, f"{path}: is not allowed any more"
        return
    for name in new.get("required", ()):
        if name not in old.get("required", ()):
            yield ChangeKind.REQUIRED, f"{path}.{name}"
    yield from ((ChangeKind.NARROWED, f"{path}: {rule}") for rule in _rules(old, new))
    for name, part in new.get("properties", {}).items():
        if name in old.get("properties", {}):
            yield from _narrowed(old["properties"][name], part, f"{path}.{name}")
    if "items" in new:
        yield from _narrowed(old.get("items", {}), new["items"], f"{path}[]")


def _rules(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if lost := _types(old) - _types(new):
        yield f"no longer {' or '.join(sorted(lost))}"
    if "enum" in new:
        lost_values = [value for value in old.get("enum", ()) if value not in new["enum"]]
        if "enum" not in old:
            yield "only certain values"
        elif lost_values:
            yield f"no longer {', '.join(map(str, lost_values))}"
    for name in sorted(new.keys() - _NO_RULES):
        if _is_stricter(name, old.get(name), new[name]):
            yield f"{name} {json.dumps(new[name])}" if _is_short(new[name]) else f"another {name}"


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _types(schema: Mapping[str, Any]) -> set[str]:
    stated = schema.get("type", ["array", "boolean", "null", "number", "object", "string"])
    types = {stated} if isinstance(stated, str) else set(stated)
    return types | {"integer"} if "number" in types else types


def _is_stricter(name: str, old: Any, new: Any) -> bool:
    if name in _LOWER_BOUNDS:
        return old is None or bool(new > old)
    if name in _UPPER_BOUNDS:
        return old is None or bool(new < old)
    if name == "additionalProperties" and new is True:
        return False
    return bool(new != old)
