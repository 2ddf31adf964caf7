"""The operations of the API: what each is called with, what it needs, and what it answers.

An operation is described once. Its routes, the check of its token, the parsing of what it is given and its
part of the OpenAPI document are all made of that description.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.routing import BaseConverter, PathConverter

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.web.api import authentication, model_input
from webhooks_app.web.api.model_input import LARGEST_BODY_BYTES

_PARAMETER = re.compile(r"{(\w+)}")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """`path` names its parameters in braces. `body` and `query` are models that the view gets filled in.

    `answers` has the model of the body by status, None where there is no body; `errors` are the statuses
    beside those that any operation may answer. Without a scope, any token will do.
    """

    id: str
    method: str
    path: str
    view: Callable[..., ResponseReturnValue]
    tag: str
    summary: str
    description: str = ""
    scope: TokenScope | None
    answers: Mapping[int, Any]
    body: Any = None
    # What the document says of a body that the view reads itself.
    own_body: Any = None
    is_body_optional: bool = False
    largest_body_bytes: int = LARGEST_BODY_BYTES
    query: Any = None
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()  # of the request
    answer_headers: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The path as Flask writes it."""
        return _PARAMETER.sub(lambda found: f"<{_converter(found[1])}:{found[1]}>", self.path)

    @property
    def parameters(self) -> list[str]:
        return _PARAMETER.findall(self.path)


class PublicIdConverter(BaseConverter):
    """Part of a path that may be an id; `/events/batch` is none, so that it takes no GET."""

    regex = "[^/_]+_[^/]*"


class NameConverter(PathConverter):
    """The rest of a path, which may begin with a slash, too."""

    regex = ".+?"
    part_isolating = False


def _converter(name: str) -> str:
    """Return the kind of a parameter; a name or key may hold a slash, which the server has decoded."""
    if name.endswith("_id"):
        return "public_id"
    return "name" if name in ("name", "idempotency_key") else "string"


def add_routes(blueprint: Blueprint, operations: Iterable[Operation]) -> None:
    for operation in operations:
        view = _guarded(operation)
        # The name of an endpoint may begin with a slash, which is not to be taken for a slip.
        blueprint.add_url_rule(
            operation.rule, operation.id, view, methods=[operation.method], merge_slashes=False
        )


def _guarded(operation: Operation) -> Callable[..., ResponseReturnValue]:
    """Return the view behind the check of its token's scope, called with what it was given."""

    def guarded(**arguments: Any) -> ResponseReturnValue:
        if operation.scope is not None:
            authentication.require_scope(operation.scope)
        if operation.query is not None:
            arguments["query"] = model_input.read_query(operation.query)
        if operation.body is not None:
            arguments["body"] = model_input.read_body(
                operation.body,
                largest_bytes=operation.largest_body_bytes,
                is_optional=operation.is_body_optional,
            )
        return operation.view(**arguments)

    return guarded


def respond(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer with this model as its body."""
    response = jsonify(msgspec.to_builtins(body))
    response.status_code = status
    response.headers.update(headers or {})
    return response


def respond_empty(headers: Mapping[str, str] | None = None) -> Response:
    """Return 204."""
    response = Response(status=204, headers=dict(headers or {}))
    del response.headers["Content-Type"]
    return response
