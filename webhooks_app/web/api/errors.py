"""The API's errors.

Each is `{"error": {"code", "message", "field"}}`; `field` is null where no field is at fault. Who accepts
`application/problem+json` rather than JSON gets problem details (RFC 9457) with the same code and field.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import NoReturn

from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from webhooks_app.endpoints.custom_headers import ValueNeeded
from webhooks_app.endpoints.named_endpoints import AmbiguousName, HeldChoiceNeeded
from webhooks_app.endpoints.optimistic_lock import ChangedMeanwhile
from webhooks_app.events.event_types import NAME
from webhooks_app.events.process_allowances import LargerThanBurst, RateLimited
from webhooks_app.events.submissions import KeyReused
from webhooks_app.extensions import services
from webhooks_app.web.api import rate_limit_headers

# Whose refusals are counted.
_EVENT_VIEWS = frozenset({"api.sendEvent", "api.sendEvents"})
PROBLEM = "application/problem+json"


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


def problem_json(error: ApiError) -> dict[str, str | int | None]:
    """Return the same as problem details; without a type of its own, the title is the status's."""
    return {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "field": error.field,
    }


def is_api() -> bool:
    """Return whether the request is for the API."""
    return f"{request.path}/".startswith("/api/")


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


def unknown_type_sentence(event_type: object, names: Collection[str]) -> str:
    """Return what to say of an event type that is none of the catalog's `names`. Pure.

    By its name, if it can be one, and with the one that it is closest to.
    """
    if not (isinstance(event_type, str) and NAME.fullmatch(event_type)):
        return "This type is not in the catalog; see /api/v1/event-types."
    close = get_close_matches(event_type, names, 1)
    hint = f"did you mean “{close[0]}”? All are at" if close else "see"
    return f"“{event_type}” is not in the catalog; {hint} /api/v1/event-types."


def add_handlers(blueprint: Blueprint) -> None:
    """Give an API's blueprint this shape for whatever goes wrong in its views."""
    blueprint.register_error_handler(ApiError, _answer_in_asked_shape)
    blueprint.register_error_handler(HTTPException, answer_http_error)
    blueprint.register_error_handler(KeyReused, _answer_key_reused)
    blueprint.register_error_handler(RateLimited, _answer_rate_limited)
    blueprint.register_error_handler(LargerThanBurst, _answer_larger_than_burst)
    blueprint.register_error_handler(ChangedMeanwhile, _answer_changed)
    blueprint.register_error_handler(AmbiguousName, _answer_ambiguous)
    blueprint.register_error_handler(HeldChoiceNeeded, _answer_held)
    blueprint.register_error_handler(ValueNeeded, _answer_value_needed)


def answer_http_error(error: HTTPException) -> tuple[Response, int]:
    name = (error.name or "error").lower().replace(" ", "_")
    return _answer_in_asked_shape(
        ApiError(error.code or 500, name, _message(error), headers=own_headers(error))
    )


def _message(error: HTTPException) -> str:
    """Return what to say; of what the framework found out by itself, in words about this API."""
    if isinstance(error, NotFound) and error.description == NotFound.description:
        return _about_path(request.path)
    if isinstance(error, MethodNotAllowed):
        methods = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
        return f"There is no {request.method} here; there is {' and '.join(methods)}."
    return error.description or "The request failed."


def _about_path(path: str) -> str:
    adapter = current_app.create_url_adapter(request)
    if path.endswith("/") and adapter and adapter.allowed_methods(path.rstrip("/")):
        return f"There is no {path[:200]} in this API: leave out the slash at its end."
    return f"There is no {path[:200]} in this API; /api/v1/openapi.json says what there is."


def own_headers(error: HTTPException) -> dict[str, str]:
    """Return the headers that belong to the error itself, such as `Allow` to 405 (RFC 9110, 15.5.6)."""
    return {name: value for name, value in error.get_headers() if name != "Content-Type"}


def _answer_in_asked_shape(error: ApiError) -> tuple[Response, int]:
    if request.endpoint in _EVENT_VIEWS:
        services().counters.count("events_refused", error.code)
    if request.accept_mimetypes.best_match(["application/json", PROBLEM]) == PROBLEM:
        response = jsonify(problem_json(error))
        response.mimetype = PROBLEM
    else:
        response = jsonify(error_json(error))
    response.headers.update(error.headers)
    response.vary.add("Accept")
    return response, error.status


def _answer_key_reused(error: KeyReused) -> tuple[Response, int]:
    field = "Idempotency-Key" if error.position is None else f"events[{error.position}].idempotency_key"
    message = "This idempotency key was used for something else."
    return _answer_in_asked_shape(ApiError(409, "idempotency_key_reused", message, field))


def _answer_rate_limited(error: RateLimited) -> tuple[Response, int]:
    allowance = error.allowance
    message = (
        f"This API token may send {allowance.limit}. Nothing was accepted; send this again in "
        f"{allowance.seconds} s."
    )
    headers = {"Retry-After": str(allowance.seconds), **rate_limit_headers.rate_limit_headers(allowance)}
    return _answer_in_asked_shape(ApiError(429, "rate_limited", message, headers=headers))


def _answer_larger_than_burst(error: LargerThanBurst) -> tuple[Response, int]:
    message = (
        f"This API token may send {error.limit.burst:,} events at once, and the batch has {error.count:,}. "
        "Send smaller ones."
    )
    return _answer_in_asked_shape(ApiError(422, "larger_than_rate_limit", message, "events"))


def _answer_changed(_error: ChangedMeanwhile) -> tuple[Response, int]:
    message = "The endpoint was changed meanwhile. Read it again, then decide."
    return _answer_in_asked_shape(ApiError(412, "changed_meanwhile", message, "If-Match"))


def ambiguous_name(_error: AmbiguousName) -> ApiError:
    """Return what the API says of a name that several endpoints have."""
    message = "There are several endpoints of this name. Use their ids, or rename all but one."
    return ApiError(409, "ambiguous_name", message, "name")


def _answer_ambiguous(error: AmbiguousName) -> tuple[Response, int]:
    return _answer_in_asked_shape(ambiguous_name(error))


def _answer_held(_error: HeldChoiceNeeded) -> tuple[Response, int]:
    return _answer_in_asked_shape(
        ApiError(422, "invalid", "Deliveries were held: say send or discard.", "held")
    )


def _answer_value_needed(_error: ValueNeeded) -> tuple[Response, int]:
    """Say it of an endpoint that was changed meanwhile, so that a stored value would go elsewhere."""
    message = "Give the values of the headers: the URL leads to another server now."
    return _answer_in_asked_shape(ApiError(422, "invalid", message, "headers"))


def answer_unavailable() -> tuple[Response, int]:
    message = "The database does not answer. Nothing was accepted; send this again."
    return _answer_in_asked_shape(ApiError(503, "unavailable", message, headers={"Retry-After": "1"}))
