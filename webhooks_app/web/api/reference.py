"""The API's reference as Markdown, made of its OpenAPI document: `make api-reference` writes docs/api.md."""

from collections.abc import Iterator, Mapping
from typing import Any

from webhooks_app.events import catalog
from webhooks_app.web.api import openapi
from webhooks_app.web.api.all_operations import OPERATIONS
from webhooks_app.web.api.operations import Operation
from webhooks_app.web.documents.document_blocks import markdown_table

_HEAD = "# API reference\n\nMade of the OpenAPI document by `make api-reference`; a test holds it to that."


def write() -> str:
    """Return the whole page."""
    described = openapi.build(OPERATIONS, catalog.load(), server_url="/api/v1", version="1")
    parts = [_HEAD, described["info"]["description"].strip(), _scopes(described)]
    for tag in described["tags"]:
        operations = [_operation(described, each) for each in OPERATIONS if each.tag == tag["name"]]
        if operations:  # there are none that are called of the webhooks
            parts += [f"## {tag['name']}", tag["description"], *operations]
    return "\n\n".join(parts) + "\n"


def _scopes(described: Mapping[str, Any]) -> str:
    return f"## Tokens\n\n{described['components']['securitySchemes']['token']['description']}"


def _operation(described: Mapping[str, Any], operation: Operation) -> str:
    found = described["paths"][operation.path][operation.method.lower()]
    lines = [
        f"### {operation.summary}",
        f"`{operation.method} /api/v1{operation.path}`",
        found["description"],
        _table(("Name", "In", "Meaning"), _parameters(described, found)),
        _table(("Status", "Answer"), _answers(found)),
    ]
    return "\n\n".join(line for line in lines if line)


def _parameters(described: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in found["parameters"]:
        yield f"`{each['name']}`", each["in"], each.get("description", "")
    if "requestBody" in found:
        name = _schema_name(found["requestBody"]["content"])
        schema = described["components"]["schemas"][name]
        for field, part in schema.get("properties", {}).items():
            yield f"`{field}`", "body", meaning(part)


def meaning(part: Mapping[str, Any]) -> str:
    """Return what a schema says of its value; of one that may be null, what is said of the other."""
    candidates = (part, *part.get("anyOf", ()))
    return str(next((each["description"] for each in candidates if "description" in each), ""))


def _answers(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for status, each in sorted(found["responses"].items()):
        name = _schema_name(each["content"]) if "content" in each else ""
        yield status, f"{each['description']}, `{name}`" if name else each["description"]


def _schema_name(content: Mapping[str, Any]) -> str:
    return str(content["application/json"]["schema"]["$ref"]).rpartition("/")[2]


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    found = list(rows)
    return markdown_table(head, found) if found else ""


if __name__ == "__main__":
    print(write(), end="")
