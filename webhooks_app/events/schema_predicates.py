"""Quick answers to whether data fulfils a JSON Schema, for the rules that the catalog's schemas use. Pure.

The validator of `schema_violations` takes ten times as long, as it is made to say what is wrong; of most
events nothing is. What a schema has beyond these rules has no quick answer, and the validator alone decides.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from webhooks_app.events import schema_violations

Check = Callable[[Any], bool]

# What says something about a schema and asks nothing of the data.
_ANNOTATIONS = frozenset({"$schema", "title", "description", "examples", "default", "deprecated", "$comment"})


def check_of(schema: Any) -> Check | None:
    """Return what tells whether data (parsed JSON) fulfils the schema; None where it has other rules."""
    if not isinstance(schema, dict):
        return None
    checks: list[Check] = []
    for keyword, value in schema.items():
        if keyword in _ANNOTATIONS:
            continue
        check = _RULES[keyword](value) if keyword in _RULES else None
        if check is None:
            return None
        checks.append(check)
    return _all_of(checks)


def _all_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def fulfils(data: Any) -> bool:
        for check in checks:  # noqa: SIM110  a generator would double what this costs
            if not check(data):
                return False
        return True

    return fulfils


def _is_integer(data: Any) -> bool:
    return type(data) is int or (type(data) is float and data.is_integer())


def _is_number(data: Any) -> bool:
    return type(data) is int or type(data) is float


_TYPES: Mapping[str, Check] = {
    "object": lambda data: isinstance(data, dict),
    "array": lambda data: isinstance(data, list),
    "string": lambda data: isinstance(data, str),
    "boolean": lambda data: isinstance(data, bool),
    "null": lambda data: data is None,
    "integer": _is_integer,
    "number": _is_number,
}


def _type(value: Any) -> Check | None:
    names = value if isinstance(value, list) else [value]
    checks = [_TYPES[name] for name in names]
    return checks[0] if len(checks) == 1 else lambda data: any(check(data) for check in checks)


def _enum(value: Any) -> Check | None:
    # Among others than these, JSON tells apart what Python does not: 1, 1.0 and true.
    if not all(each is None or isinstance(each, str) for each in value):
        return None
    words = frozenset(value)
    return lambda data: (data is None or isinstance(data, str)) and data in words


def _properties(value: Any) -> Check | None:
    checks = {name: check_of(schema) for name, schema in value.items()}
    known = [(name, check) for name, check in checks.items() if check is not None]
    if len(known) < len(checks):
        return None

    def fulfils(data: Any) -> bool:
        if isinstance(data, dict):
            for name, check in known:
                if name in data and not check(data[name]):
                    return False
        return True

    return fulfils


def _required(value: Any) -> Check | None:
    names = frozenset(value)
    return lambda data: not isinstance(data, dict) or names <= data.keys()


def _items(value: Any) -> Check | None:
    check = check_of(value)
    if check is None:
        return None
    return lambda data: not isinstance(data, list) or all(map(check, data))


def _format(value: Any) -> Check | None:
    return lambda data: schema_violations.FORMATS.conforms(data, value)


def _pattern(value: Any) -> Check | None:
    search = re.compile(value).search
    return lambda data: not isinstance(data, str) or search(data) is not None


_RULES: Mapping[str, Callable[[Any], Check | None]] = {
    "type": _type,
    "enum": _enum,
    "properties": _properties,
    "required": _required,
    "items": _items,
    "format": _format,
    "pattern": _pattern,
    "minLength": lambda value: lambda data: not isinstance(data, str) or len(data) >= value,
    "maxLength": lambda value: lambda data: not isinstance(data, str) or len(data) <= value,
    "minimum": lambda value: lambda data: not _is_number(data) or data >= value,
    "maximum": lambda value: lambda data: not _is_number(data) or data <= value,
    "minItems": lambda value: lambda data: not isinstance(data, list) or len(data) >= value,
    "maxItems": lambda value: lambda data: not isinstance(data, list) or len(data) <= value,
}
