"""The API's errors.

Each is `{"error": {"code", "message", "field"}}`; `field` is null where no field is at fault.
"""

from collections.abc import Mapping
from typing import NoReturn

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from webhooks_app.events.accept import KeyReused
from webhooks_app.extensions import services

# Whose refusals are counted.
_EVENT_VIEWS = frozenset({"api.sendEvent", "api.sendEvents"})


class ApiError(Exception):
    """An answer other than success; `code` is for programs, `message` for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers = headers or {}


def error_json(error: ApiError) -> dict[str, dict[str, str | None]]:
    """Return what the body of the answer says of the error."""
    return {"error": {"code": error.code, "message": error.message, "field": error.field}}


def refuse(
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> NoReturn:
    """Raise ApiError."""
    raise ApiError(status, code, message, field, headers=headers)


def add_handlers(blueprint: Blueprint) -> None:
    """Give an API's blueprint this shape for whatever goes wrong in its views."""
    blueprint.register_error_handler(ApiError, _answer_error)
    blueprint.register_error_handler(HTTPException, answer_http_error)
    blueprint.register_error_handler(KeyReused, _answer_key_reused)


def answer_http_error(error: HTTPException) -> tuple[Response, int]:
    name = (error.name or "error").lower().replace(" ", "_")
    message = error.description or "The request failed."
    return _answer_error(ApiError(error.code or 500, name, message, headers=own_headers(error)))


def own_headers(error: HTTPException) -> dict[str, str]:
    """Return the headers that belong to the error itself, such as `Allow` to 405 (RFC 9110, 15.5.6)."""
    return {name: value for name, value in error.get_headers() if name != "Content-Type"}


def _answer_error(error: ApiError) -> tuple[Response, int]:
    if request.endpoint in _EVENT_VIEWS:
        services().counters.count("events_refused", error.code)
    response = jsonify(error_json(error))
    response.headers.update(error.headers)
    return response, error.status


def _answer_key_reused(_error: KeyReused) -> tuple[Response, int]:
    message = "This Idempotency-Key was used for another event."
    return _answer_error(ApiError(409, "idempotency_key_reused", message))


def answer_unavailable() -> tuple[Response, int]:
    message = "The database does not answer. Nothing was accepted; send this again."
    return _answer_error(ApiError(503, "unavailable", message, headers={"Retry-After": "1"}))
