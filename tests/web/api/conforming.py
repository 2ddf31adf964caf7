"""Answers of the API held against its own document, whichever test asked for them."""

from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from webhooks_app.events import catalog as catalogs
from webhooks_app.web.api import openapi
from webhooks_app.web.api.all_operations import OPERATIONS
from webhooks_app.web.api.operations import Operation

CATALOG = catalogs.load()
DOCUMENT = openapi.build(OPERATIONS, CATALOG, server_url="http://localhost/api/v1", version="1")
_URI = "urn:api"
_REGISTRY: Registry[Any] = Registry().with_resource(
    _URI, Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)
_SOMETIMES = {"Idempotent-Replayed", "RateLimit", "RateLimit-Policy"}
_BY_ID = {f"api.{each.id}": each for each in OPERATIONS}


class ConformingClient(FlaskClient):
    """A client that fails its test where an answer is not as the document says."""

    def open(self, *arguments: Any, **options: Any) -> TestResponse:
        response = super().open(*arguments, **options)
        check(self.application, response)
        return response


def check(app: Flask, response: TestResponse) -> None:
    """Fail unless the document has the answer's status, media type, headers and body."""
    operation = _operation(app, response)
    if operation is None:
        return
    path = DOCUMENT["paths"][operation.path][operation.method.lower()]
    where = f"{operation.id} {response.status_code}"
    assert str(response.status_code) in path["responses"], f"{where} is not in the document"
    described = path["responses"][str(response.status_code)]
    for name in described.get("headers", {}).keys() - _SOMETIMES:
        assert name in response.headers, f"{where} has no {name}"
    if "content" not in described:
        assert response.data == b"", f"{where} has a body"
        return
    assert response.mimetype in described["content"], f"{where} is {response.mimetype}"
    problems = list(validator(described["content"][response.mimetype]["schema"]).iter_errors(response.json))
    assert not problems, f"{where}: {[problem.message for problem in problems]}"


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator for a schema that may refer to the document's components."""
    absolute = {"$ref": f"{_URI}{schema['$ref']}"} if "$ref" in schema else schema
    return Draft202012Validator(absolute, registry=_REGISTRY, format_checker=FormatChecker())


def _operation(app: Flask, response: TestResponse) -> Operation | None:
    """Return the operation that answered, or None where the route map had no place for the request."""
    request = response.request
    try:
        endpoint, _ = app.url_map.bind("localhost").match(request.path, method=request.method)
    except HTTPException:
        return None
    return _BY_ID.get(endpoint)
