"""The fields of a JSON Schema (2020-12), in words. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class SchemaField(NamedTuple):
    """`path` is dotted, with `[]` behind an array whose items it is in; `part` is its own schema."""

    path: str
    part: Mapping[str, Any]
    is_required: bool
    description: str


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[SchemaField]:
    """Yield the schema's fields, those of an object right behind it, be it an item of an array."""
    required = schema.get("required", ())
    for name, described in schema.get("properties", {}).items():
        part = described if isinstance(described, Mapping) else {}  # true and false are schemas, too
        path = f"{prefix}{name}"
        yield SchemaField(path, part, name in required, part.get("description", ""))
        yield from fields(part, f"{path}.")
        items = part.get("items")
        while isinstance(items, Mapping):
            path += "[]"
            yield from fields(items, f"{path}.")
            items = items.get("items")


def kind(schema: Any, show: Callable[[str], str] = str) -> str:
    """Return what a value is, in JSON Schema's words; where its values are named, these, as JSON.

    `show` is applied to each of these. A schema may also be true or false (JSON Schema 2020-12, core, section
    4.3.2).
    """
    if not isinstance(schema, Mapping):
        return "value"
    if "enum" in schema:
        return ", ".join(show(json.dumps(each, ensure_ascii=False)) for each in schema["enum"])
    if "const" in schema:
        return show(json.dumps(schema["const"], ensure_ascii=False))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(each, show) for each in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    return _of_type(schema, show)


def _of_type(schema: Mapping[str, Any], show: Callable[[str], str]) -> str:
    named = schema.get("type", "value")
    names = named if isinstance(named, list) else [named]
    text = " or ".join(map(str, names))
    if "array" in names and isinstance(schema.get("items"), Mapping):
        text += f" of {kind(schema['items'], show)}"
    return f"{text}, {schema['format']}" if "format" in schema else text
