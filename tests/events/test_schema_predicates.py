"""The quick answer and the validator's: the same, of whatever data."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from webhooks_app.events import schema_predicates, schema_violations
from webhooks_app.events.catalog import load
from webhooks_app.events.event_types import EventType

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 2**70, -(2**70), 1e300),
    *("", "x", "batch_7Q2M", "succeeded", "é" * 300, "x" * 5000, "not a date", "a\nb", " "),
    *("2025-01-31T09:30:00Z", "2025-01-31T09:30:00+01:00", "2025-13-31T09:30:00Z", "2025-01-31"),
    *([], [1], ["x"], [{}], [None, "x"], {}, {"total": 1}, {"code": "x", "message": 1}),
]
EVENT_TYPES = load().event_types


def changed(value: Any) -> Iterator[Any]:
    """Yield the value with each of its parts replaced by each of VALUES, left out, or with one beside it."""
    yield from VALUES
    if isinstance(value, dict):
        yield value | {"another": 1}
        for name, part in value.items():
            yield {key: each for key, each in value.items() if key != name}
            for other in changed(part):
                yield value | {name: other}
    elif isinstance(value, list):
        yield [*value, *value]
        for other in VALUES:
            yield [*value, other]


def is_valid(schema: dict[str, Any], data: Any) -> bool:
    return not schema_violations.find(schema_violations.validator_of(schema), data)


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=[each.name for each in EVENT_TYPES])
def test_both_say_the_same_of_a_type_of_the_catalog(event_type: EventType) -> None:
    check = schema_predicates.check_of(event_type.schema)
    assert check is not None
    assert check(event_type.example)
    validator = schema_violations.validator_of(event_type.schema)
    answers = set()
    for data in changed(copy.deepcopy(event_type.example)):
        assert check(data) is not bool(schema_violations.find(validator, data)), data
        answers.add(check(data))
    assert answers == {True, False}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"]},
        {"type": ["integer", "array"], "minItems": 1, "maxItems": 2, "items": {"type": "number"}},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"minimum": 1},
        {"maximum": 0.5},
        {"minLength": 1, "maxLength": 3},
        {"pattern": "^[a-z]+$"},
        {"required": ["total"]},
        {"properties": {"total": {"type": "boolean"}}},
        {"items": {"type": "object"}},
        {"format": "date-time"},
        {"enum": ["x", ""]},
        {"enum": ["x", None]},
        {"type": "boolean", "title": "A title", "description": "What it is", "default": True},
        {},
    ],
    ids=str,
)
def test_both_say_the_same_of_each_rule(schema: dict[str, Any]) -> None:
    check = schema_predicates.check_of(schema)
    assert check is not None
    for data in VALUES:
        assert check(data) is is_valid(schema, data), data


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [1, True]},
        {"multipleOf": 0.01},
        {"additionalProperties": False},
        {"properties": {"a": {"$ref": "#/$defs/a"}}},
        {"items": {"not": {}}},
        {"items": False},
    ],
    ids=str,
)
def test_other_rules_have_no_quick_answer(schema: dict[str, Any]) -> None:
    assert schema_predicates.check_of(schema) is None
