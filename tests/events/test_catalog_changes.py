"""What a change of the catalog breaks."""

import json
from pathlib import Path
from typing import Any

import pytest

from webhooks_app.events.catalog import Catalog, load
from webhooks_app.events.catalog_changes import CatalogChange, ChangeKind, breaking

PAID: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "maxLength": 64},
        "state": {"enum": ["open", "paid"]},
        "sum": {"type": "number"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    },
}


def catalog(
    folder: Path, schema: dict[str, Any], example: dict[str, Any], name: str = "order.paid"
) -> Catalog:
    path = folder / "catalog.toml"
    path.write_text(
        'built_in = false\n[[groups]]\nkey = "orders"\ntitle = "Orders"\n'
        f'[[event_types]]\nname = "{name}"\ngroup = "orders"\ndescription = "Paid"\n'
        f"schema = '''{json.dumps(schema)}'''\nexample = '''{json.dumps(example)}'''\n"
    )
    return load(path)


def changed(**fields: Any) -> dict[str, Any]:
    return PAID | {"properties": PAID["properties"] | fields}


def changes(folder: Path, schema: dict[str, Any], example: dict[str, Any]) -> list[tuple[ChangeKind, str]]:
    old = catalog(folder, PAID, {"id": "o"})
    return [(each.kind, each.what) for each in breaking(old, catalog(folder, schema, example))]


def test_the_same_catalog_breaks_nothing() -> None:
    assert breaking(load(), load()) == []


def test_a_type_that_leaves_is_named(tmp_path: Path) -> None:
    old, new = catalog(tmp_path, PAID, {"id": "o"}), catalog(tmp_path, PAID, {"id": "o"}, "order.sent")
    assert breaking(old, new) == [CatalogChange(ChangeKind.REMOVED, "order.paid")]


def test_a_field_newly_required_breaks_the_example_too(tmp_path: Path) -> None:
    assert changes(tmp_path, PAID | {"required": ["id", "sum"]}, {"id": "o", "sum": 1}) == [
        (ChangeKind.REQUIRED, "data.sum"),
        (ChangeKind.EXAMPLE, "the example until now: data.sum is required"),
    ]


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        (changed(sum={"type": "integer"}), "data.sum: no longer number"),
        (changed(id={"type": "string", "maxLength": 8}), "data.id: maxLength 8"),
        (changed(id={"type": "string", "maxLength": 64, "minLength": 1}), "data.id: minLength 1"),
        (changed(id={"type": "string", "maxLength": 64, "pattern": "^o"}), 'data.id: pattern "^o"'),
        (changed(id={"type": "string", "maxLength": 64, "enum": ["o"]}), "data.id: only certain values"),
        (changed(state={"enum": ["paid"]}), "data.state: no longer open"),
        (changed(sum=False), "data.sum: is not allowed any more"),
        (
            changed(
                lines={"type": "array", "items": {"properties": {"sku": {"type": "null"}}, "type": "object"}}
            ),
            "data.lines[].sku: no longer string",
        ),
        (PAID | {"additionalProperties": False}, "data: additionalProperties false"),
        (PAID | {"anyOf": [{"required": ["id"]}]}, "data: another anyOf"),
    ],
)
def test_what_allows_less_is_named_with_its_field(tmp_path: Path, schema: dict[str, Any], what: str) -> None:
    assert (ChangeKind.NARROWED, what) in changes(tmp_path, schema, {"id": "o"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        changed(id={"type": ["string", "null"], "maxLength": 65, "description": "Its id"}),
        changed(state={"enum": ["open", "paid", "sent"]}, new={"type": "string"}),
        changed(sum=True),
        PAID | {"required": []},
        PAID | {"additionalProperties": True, "title": "Paid"},
    ],
)
def test_what_allows_as_much_breaks_nothing(tmp_path: Path, schema: dict[str, Any]) -> None:
    assert changes(tmp_path, schema, {"id": "o"}) == []
