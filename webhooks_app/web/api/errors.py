"""The API's errors.

Each is `{"error": {"code", "message", "field"}}`; `field` is null where no field is at fault.
"""

from typing import NoReturn

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import HTTPException

from webhooks_app.events.accept import KeyReused


class ApiError(Exception):
    """An answer other than success; `code` is for programs, `message` for people."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field


def refuse(status: int, code: str, message: str, field: str | None = None) -> NoReturn:
    """Raise ApiError."""
    raise ApiError(status, code, message, field)


def add_handlers(blueprint: Blueprint) -> None:
    """Give an API's blueprint this shape for whatever goes wrong in its views."""
    blueprint.register_error_handler(ApiError, _answer_error)
    blueprint.register_error_handler(HTTPException, answer_http_error)
    blueprint.register_error_handler(KeyReused, _answer_key_reused)


def answer_http_error(error: HTTPException) -> tuple[Response, int]:
    name = (error.name or "error").lower().replace(" ", "_")
    return _answer_error(ApiError(error.code or 500, name, error.description or "The request failed."))


def _answer_error(error: ApiError) -> tuple[Response, int]:
    body = {"error": {"code": error.code, "message": error.message, "field": error.field}}
    return jsonify(body), error.status


def _answer_key_reused(_error: KeyReused) -> tuple[Response, int]:
    message = "This Idempotency-Key was used for another event."
    return _answer_error(ApiError(409, "idempotency_key_reused", message))


def answer_unavailable() -> tuple[Response, int]:
    message = "The database does not answer. Nothing was accepted; send this again."
    response, status = _answer_error(ApiError(503, "unavailable", message))
    response.headers["Retry-After"] = "1"
    return response, status
