"""Schemas in words, as the catalog, the API's reference and the documents show them."""

from typing import Any

import pytest

from webhooks_app.web.documents import schema_fields

ARRAY = {
    "type": "array",
    "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
}


def test_fields_go_down_into_objects_and_arrays() -> None:
    nested = {"type": "array", "items": {"type": "array", "items": {"properties": {"x": True}}}}
    properties = {"kind": {"enum": ["a", None], "description": "Which"}, "any": True, "items": ARRAY} | {
        "rows": nested
    }
    found = schema_fields.fields({"required": ["kind"], "properties": properties}, "data.")
    assert [(each.path, each.is_required, each.description) for each in found] == [
        ("data.kind", True, "Which"),
        ("data.any", False, ""),
        ("data.items", False, ""),
        ("data.items[].id", True, ""),
        ("data.rows", False, ""),
        ("data.rows[][].x", False, ""),
    ]


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        (True, "value"),
        ({"anyOf": [True, {"type": "string"}]}, "value or string"),
        ({"enum": [0, False, "", None, "ü", 1.5]}, '0, false, "", null, "ü", 1.5'),
        ({"const": False}, "false"),
        ({"const": None}, "null"),
        ({"type": ["integer", "null"]}, "integer or null"),
        ({"type": "string", "format": "date-time"}, "string, date-time"),
        (ARRAY, "array of object"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, 'array of "a", "b"'),
        ({"type": "array", "items": True}, "array"),
        ({"$ref": "#/components/schemas/Event"}, "Event"),
    ],
)
def test_what_a_value_is_is_said_of_any_schema(schema: Any, shown: str) -> None:
    assert schema_fields.kind(schema) == shown


def test_named_values_are_shown_as_is_asked() -> None:
    assert schema_fields.kind({"enum": ["a", 1]}, show=lambda value: f"`{value}`") == '`"a"`, `1`'
