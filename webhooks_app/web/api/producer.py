"""The producer API, `/api/v1`: internal apps hand over events here.

Every error is `{"error": {"code", "message", "field"}}`; `field` is null where no field is at fault.
"""

from datetime import timedelta
from typing import Any, NoReturn

from flask import Blueprint, Flask, Response, g, jsonify, request
from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from webhooks_app.core import clock, json_parsing, passwords
from webhooks_app.db.models import ApiToken, Delivery, Event
from webhooks_app.events import accept
from webhooks_app.events.accept import Accepted, KeyReused, NewEvent
from webhooks_app.events.catalog import catalog
from webhooks_app.extensions import csrf, services

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

LARGEST_EVENT_BYTES = 256 * 1024
LARGEST_BATCH_BYTES = 4 * 1024 * 1024
LARGEST_BATCH = 1000
LONGEST_KEY = 255
# `last_used_at` is for people; writing it on each request would cost a transaction each.
LAST_USED_PRECISION = timedelta(minutes=1)


# Put together once: that takes longer than running it.
_TOKEN = select(ApiToken.id, ApiToken.workspace_id, ApiToken.last_used_at).where(
    ApiToken.token_hash == bindparam("token_hash"), ApiToken.revoked_at.is_(None)
)


class ApiError(Exception):
    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field


def register(app: Flask) -> None:
    csrf.exempt(blueprint)  # a bearer token is nothing that a browser sends by itself
    app.register_blueprint(blueprint)


@blueprint.errorhandler(ApiError)
def _answer_error(error: ApiError) -> tuple[Response, int]:
    body = {"error": {"code": error.code, "message": error.message, "field": error.field}}
    return jsonify(body), error.status


@blueprint.errorhandler(HTTPException)
def answer_http_error(error: HTTPException) -> tuple[Response, int]:
    name = (error.name or "error").lower().replace(" ", "_")
    return _answer_error(ApiError(error.code or 500, name, error.description or "The request failed."))


@blueprint.errorhandler(OperationalError)
@blueprint.errorhandler(PoolTimeout)
def _answer_unavailable(_error: Exception) -> tuple[Response, int]:
    message = "The database does not answer. Nothing was accepted; send this again."
    response, status = _answer_error(ApiError(503, "unavailable", message))
    response.headers["Retry-After"] = "1"
    return response, status


@blueprint.before_request
def _authenticate() -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        _refuse(401, "unauthorized", "Send an API token: Authorization: Bearer tok_…")
    with services().read.connect_autocommit() as connection:
        row = connection.execute(_TOKEN, {"token_hash": passwords.hash_token(token.strip())}).first()
    if row is None:
        _refuse(401, "unauthorized", "This API token is not valid.")
    g.workspace_id, g.token_id = row.workspace_id, row.id
    if row.last_used_at is None or clock.now() - row.last_used_at > LAST_USED_PRECISION:
        _note_use(row.id)


def _note_use(token_id: str) -> None:
    now = clock.now()
    stale = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < now - LAST_USED_PRECISION)
    with services().write.begin() as connection:
        connection.execute(update(ApiToken).where(ApiToken.id == token_id, stale).values(last_used_at=now))


@blueprint.post("/events")
def create_event() -> tuple[Response, int]:
    event = _event(_body(LARGEST_EVENT_BYTES), "")
    try:
        [accepted] = _accept([event], idempotency_key=_idempotency_key())
    except KeyReused:
        _refuse(409, "idempotency_key_reused", "This Idempotency-Key was used for another event.")
    return jsonify(_accepted(accepted)), 202


@blueprint.post("/events/batch")
def create_events() -> tuple[Response, int]:
    body = _body(LARGEST_BATCH_BYTES)
    if not isinstance(body, dict) or set(body) != {"events"} or not isinstance(body["events"], list):
        _refuse(422, "invalid", 'Send {"events": [{"type": …, "data": …}, …]}.', "events")
    if not 1 <= len(body["events"]) <= LARGEST_BATCH:
        _refuse(422, "invalid", f"A batch has 1 to {LARGEST_BATCH} events.", "events")
    new = [_event(item, f"events[{position}].") for position, item in enumerate(body["events"])]
    return jsonify({"events": [_accepted(accepted) for accepted in _accept(new)]}), 202


@blueprint.get("/events/<event_id>")
def show_event(event_id: str) -> Response:
    with services().read.connect() as connection:
        event = connection.execute(
            select(Event.id, Event.type, Event.created_at, Event.body).where(
                Event.id == event_id, Event.workspace_id == g.workspace_id
            )
        ).first()
        if event is None:
            _refuse(404, "not_found", "There is no such event.")
        deliveries = connection.execute(
            select(
                Delivery.id,
                Delivery.endpoint_id,
                Delivery.state,
                Delivery.attempt_count,
                Delivery.last_status,
                Delivery.last_outcome,
                Delivery.next_attempt_at,
            )
            .where(Delivery.event_id == event_id)
            .order_by(Delivery.id)
        ).all()
    return jsonify(
        {
            "id": event.id,
            "type": event.type,
            "timestamp": event.created_at.isoformat(),
            "body": bytes(event.body).decode(),
            "deliveries": [
                {
                    "id": row.id,
                    "endpoint_id": row.endpoint_id,
                    "state": row.state.value,
                    "attempts": row.attempt_count,
                    "last_status": row.last_status,
                    "last_outcome": row.last_outcome,
                    "next_attempt_at": row.next_attempt_at.isoformat() if row.next_attempt_at else None,
                }
                for row in deliveries
            ],
        }
    )


@blueprint.get("/event-types")
def list_event_types() -> Response:
    return jsonify(
        {
            "event_types": [
                {
                    "name": event_type.name,
                    "group": group.title,
                    "description": event_type.description,
                    "schema": event_type.schema,
                    "example": event_type.example,
                }
                for group in catalog().groups
                for event_type in group.event_types
            ]
        }
    )


def _accept(new: list[NewEvent], *, idempotency_key: str | None = None) -> list[Accepted]:
    found = services()
    return accept.accept_events(
        found.write, found.wake_ups, g.workspace_id, new, idempotency_key=idempotency_key
    )


def _accepted(accepted: Accepted) -> dict[str, Any]:
    return {"id": accepted.id, "deliveries": accepted.deliveries}


def _body(largest_bytes: int) -> Any:
    if request.content_length is not None and request.content_length > largest_bytes:
        _refuse_size(largest_bytes)
    raw = request.stream.read(largest_bytes + 1)  # also holds for a body that states no length
    if len(raw) > largest_bytes:
        _refuse_size(largest_bytes)
    try:
        return json_parsing.parse(raw)
    except json_parsing.InvalidJson as error:
        _refuse(400, "invalid_json", str(error))


def _event(item: Any, at: str) -> NewEvent:
    if not isinstance(item, dict):
        _refuse(422, "invalid", "An event is an object with type and data.", at.rstrip(".") or None)
    unknown = sorted(set(item) - {"type", "data"})
    if unknown:
        _refuse(
            422,
            "unknown_field",
            f"An event has no field {unknown[0]!r}; it has type and data.",
            at + unknown[0],
        )
    event_type, data = item.get("type"), item.get("data")
    if not isinstance(event_type, str) or event_type not in catalog().names:
        _refuse(
            422,
            "unknown_event_type",
            "This type is not in the catalog; see /api/v1/event-types.",
            f"{at}type",
        )
    if not isinstance(data, dict):
        _refuse(422, "invalid", "data must be an object.", f"{at}data")
    problems = catalog().violations(event_type, data)
    if problems:
        _refuse(422, "invalid_data", problems[0].message, at + problems[0].field)
    return NewEvent(event_type, data)


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        message = f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters."
        _refuse(400, "invalid_idempotency_key", message, "Idempotency-Key")
    return key


def _refuse(status: int, code: str, message: str, field: str | None = None) -> NoReturn:
    raise ApiError(status, code, message, field)


def _refuse_size(largest_bytes: int) -> NoReturn:
    _refuse(413, "too_large", f"The body may have {largest_bytes // 1024} KiB at most.")
