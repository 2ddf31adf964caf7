"""The API's reference, drawn from the document that the API itself serves."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, render_template

from webhooks_app.web.api import document, event_schemas
from webhooks_app.web.api.reference import meaning
from webhooks_app.web.documents import schema_fields
from webhooks_app.web.documents.schema_fields import kind
from webhooks_app.web.responses import PageResponse

_METHODS = ("get", "post", "put", "patch", "delete")


class Field(NamedTuple):
    """A parameter, or a field of a body; `where` is path, query, header or body."""

    name: str
    where: str
    kind: str
    is_required: bool
    description: str


class Described(NamedTuple):
    """An operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    fields: tuple[Field, ...]
    answers: tuple[tuple[str, str], ...]


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)


def index() -> PageResponse:
    described = document.document()
    groups = {tag["name"]: list(_operations(described, tag["name"])) for tag in described["tags"]}
    count = sum(map(len, groups.values()))
    groups[event_schemas.TAG] = list(_webhooks(described))
    return render_template(
        "api_reference/index.html",
        groups=groups,
        count=count,
        server_url=described["servers"][0]["url"],
    )


def _operations(described: Mapping[str, Any], tag: str) -> Iterator[Described]:
    for path, methods in described["paths"].items():
        for method in _METHODS:
            if method in methods and methods[method]["tags"] == [tag]:
                yield _operation(described, method, path, methods[method])


def _webhooks(described: Mapping[str, Any]) -> Iterator[Described]:
    """Yield what consumers get, with the fields of each event type's data."""
    for name, methods in described["webhooks"].items():
        found = _operation(described, "post", name, methods["post"])
        data = described["components"]["schemas"][f"{found.id.removeprefix('on')}Data"]
        own = (
            Field(path, "body", kind(part), is_required, description)
            for path, part, is_required, description in schema_fields.fields(data, "data.")
        )
        yield found._replace(fields=(*found.fields, *own))


def _operation(
    described: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]
) -> Described:
    parameters = [
        Field(
            each["name"],
            each["in"],
            kind(each["schema"]),
            each.get("required", False),
            each.get("description", ""),
        )
        for each in operation["parameters"]
    ]
    answers = [(status, each["description"]) for status, each in operation["responses"].items()]
    return Described(
        operation["operationId"],
        method.upper(),
        path,
        operation["summary"],
        operation["description"].replace("`", ""),
        (*parameters, *_body_fields(described, operation)),
        tuple(sorted(answers)),
    )


def _body_fields(described: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[Field]:
    if "requestBody" not in operation:
        return
    schema = _resolve(described, operation["requestBody"]["content"]["application/json"]["schema"])
    if "oneOf" in schema:
        yield Field("type", "body", "string", True, "An event type of the catalog.")
        yield Field("data", "body", "object", True, "What the catalog says of that type.")
        return
    for name, part in schema.get("properties", {}).items():
        is_required = name in schema.get("required", ())
        yield Field(name, "body", kind(part), is_required, meaning(part).replace("`", ""))


def _resolve(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found
