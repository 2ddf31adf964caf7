"""The OpenAPI document (3.1) of the API, made of its operations, its models and the catalog."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from webhooks_app.accounts import token_scopes
from webhooks_app.events.catalog import Catalog
from webhooks_app.web.api import answer_models, event_schemas, rate_limit_headers
from webhooks_app.web.api.operations import Operation

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_REF = _SCHEMAS + "{name}"
# What any operation may answer, and what one that takes something may answer besides.
_ANY_ERRORS = (401, 503)
_BODY_ERRORS = (400, 413, 415, 422)
_DESCRIPTION = """\
Send events, and manage what becomes of them. Every request bears an API token of one workspace, with the
scopes that were chosen for it.

Lists answer `{"data": […], "next": cursor}`, newest first; the cursor leads to the next page and is null
at the end. Moments are RFC 3339, UTC, to the millisecond.

An error is `{"error": {"code", "message", "field"}}`, or problem details (RFC 9457) for whoever accepts
`application/problem+json`: `code` is for programs, `field` says where in the request it lies. An unknown
field or parameter is an error.
"""
_TAGS = {
    "Events": "What happened, handed over once, and what became of it.",
    "Event types": "The catalog: what can happen, with a JSON Schema and an example each.",
    "Endpoints": "The URLs that events go to.",
    "Signing secrets": "What deliveries are signed with.",
    "Subscriptions": "Which event types an endpoint gets.",
    "Deliveries": "The log: an event to an endpoint, with its attempts.",
    "Recoveries": "Everything that a filter of the log finds, sent or canceled in the background.",
    "Listeners": "Short-lived endpoints whose deliveries a program fetches, such as `avra listen`.",
    event_schemas.TAG: "What endpoints get.",
}
_REQUEST_HEADERS: Mapping[str, Json] = {
    "Idempotency-Key": {
        "description": (
            "Makes a repeat safe: under the same key and with the same body nothing more is accepted, and "
            "the answer is that of the first time. Kept while the workspace keeps its log, and at least a "
            "day."
        ),
        "schema": {"type": "string", **event_schemas.IDEMPOTENCY_KEY},
    },
    "If-Match": {
        "description": "The `ETag` of what was read: 412 if it was changed since.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "description": (
            "The `ETag` of what was read: 304 if it is unchanged. With PUT, `*`: 412 if it exists already."
        ),
        "schema": {"type": "string"},
    },
}
_ANSWER_HEADERS: Mapping[str, Json] = {
    "ETag": {
        "description": "Names what was answered; for `If-Match` and `If-None-Match`.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where it is from now on.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` where all of it was accepted before, under the same key.",
        "schema": {"const": "true"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}},
    "RateLimit": {
        "description": (
            "Where the token has a rate limit: `r` events are left, and in `t` seconds all of them will be "
            "there again; in an answer 429, enough for the same request. See "
            "draft-ietf-httpapi-ratelimit-headers."
        ),
        "schema": {"type": "string", "examples": ['"events";r=950;t=1']},
    },
    "RateLimit-Policy": {
        "description": "That limit: `q` events at once, and as many in every `w` seconds.",
        "schema": {"type": "string", "examples": ['"events";q=1000;w=10;qu="events"']},
    },
}


def build(operations: Iterable[Operation], catalog: Catalog, *, server_url: str, version: str) -> Json:
    """Return the document."""
    listed = list(operations)
    tags = list(dict.fromkeys(each.tag for each in listed))
    models = _model_schemas(listed)
    names = event_schemas.type_names(catalog, models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Avra webhooks",
            "version": version,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": server_url}],
        "security": [{"token": []}],
        "tags": [{"name": tag, "description": _TAGS[tag]} for tag in (*tags, event_schemas.TAG)],
        "paths": _paths(listed),
        "webhooks": event_schemas.webhooks(catalog, names),
        "components": {
            "schemas": models | event_schemas.schemas(catalog, names),
            "securitySchemes": {"token": _security_scheme()},
        },
    }


def _paths(operations: Iterable[Operation]) -> Json:
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> Json:
    needs = f"Needs the scope `{operation.scope}`." if operation.scope else "Any token will do."
    described: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(filter(None, (operation.description, needs))),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.scope:
        described["x-scope"] = operation.scope.value
    if operation.body or operation.own_body:
        schema = _ref(operation.own_body or operation.body.__name__)
        described["requestBody"] = {
            "required": not operation.is_body_optional,
            "content": {"application/json": {"schema": schema}},
        }
    return described


def _parameters(operation: Operation) -> list[Json]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in operation.parameters
    ]
    in_headers = [{"name": name, "in": "header", **_REQUEST_HEADERS[name]} for name in operation.headers]
    return [*in_path, *_query_parameters(operation.query), *in_headers]


def _query_parameters(model: Any) -> list[Json]:
    if model is None:
        return []
    [_], components = msgspec.json.schema_components([model], ref_template=_REF)
    found = []
    for name, schema in components[model.__name__]["properties"].items():
        described = {key: value for key, value in schema.items() if key != "description"}
        parameter = {"name": name, "in": "query", "schema": _inline(described, components)}
        if "description" in schema:
            parameter["description"] = schema["description"]
        found.append(parameter)
    return found


def _inline(schema: Json, components: Mapping[str, Json]) -> Json:
    """Return the schema of an argument with its enumeration in it."""
    return components[schema["$ref"].removeprefix(_SCHEMAS)] if "$ref" in schema else schema


def _responses(operation: Operation) -> Json:
    found = {str(status): _answer(operation, status, model) for status, model in operation.answers.items()}
    return found | {str(status): _error(status, operation) for status in _error_statuses(operation)}


def _error_statuses(operation: Operation) -> list[int]:
    statuses = {*_ANY_ERRORS, *operation.errors}
    if operation.scope:
        statuses.add(403)
    if operation.body or operation.own_body:
        statuses.update(_BODY_ERRORS)
    if operation.query or operation.headers:
        statuses.add(400)
    return sorted(statuses)


def _answer(operation: Operation, status: int, model: Any) -> Json:
    described: Json = {"description": HTTPStatus(status).phrase}
    if model is not None:
        described["content"] = {"application/json": {"schema": _ref(model.__name__)}}
    names = [name for name in operation.answer_headers if status != 304 or name == "ETag"]
    if names and status != 204:
        described["headers"] = {name: _ANSWER_HEADERS[name] for name in names}
    return described


def _error(status: int, operation: Operation) -> Json:
    described: Json = {
        "description": HTTPStatus(status).phrase,
        "content": {
            "application/json": {"schema": _ref("ErrorAnswer")},
            "application/problem+json": {"schema": _ref("Problem")},
        },
    }
    names = ["Retry-After"] if status in (429, 503) else []
    if status == 429:
        names += [name for name in operation.answer_headers if name in rate_limit_headers.NAMES]
    if names:
        described["headers"] = {name: _ANSWER_HEADERS[name] for name in names}
    return described


def _model_schemas(operations: Iterable[Operation]) -> Json:
    models: list[Any] = [answer_models.ErrorAnswer, answer_models.Problem]
    for operation in operations:
        models += [operation.body, *operation.answers.values()]
    named = list(dict.fromkeys(model for model in models if model is not None))
    _, components = msgspec.json.schema_components(named, ref_template=_REF)
    return {name: _without_tuples(schema) for name, schema in components.items()}


def _without_tuples(schema: Any) -> Any:
    """Return the schema with lists of a length instead of tuples, on which generators of clients choke."""
    if isinstance(schema, list):
        return [_without_tuples(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _without_tuples(each) for name, each in schema.items()}
    if "prefixItems" in found and found.get("items") is False:
        kinds = found.pop("prefixItems")
        found["items"] = kinds[0] if all(each == kinds[0] for each in kinds) else {"anyOf": kinds}
    return found


def _ref(name: str) -> Json:
    return {"$ref": _SCHEMAS + name}


def _security_scheme() -> Json:
    scopes = "\n".join(f"- `{scope}`: {text}" for scope, text in token_scopes.DESCRIPTIONS.items())
    description = (
        f"An API token of a workspace, made by its admins. What each may do is chosen for it:\n\n{scopes}"
    )
    return {"type": "http", "scheme": "bearer", "description": description}
