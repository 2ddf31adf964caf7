"""The producer API, `/api/v1`: internal apps hand over events here."""

from collections.abc import Sequence
from typing import Any

from flask import Response, g, jsonify, request
from sqlalchemy import ColumnElement, Connection, Row, select

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import json_parsing
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.db.models import Delivery, Event
from webhooks_app.events.accept import Accepted, NewEvent, Submission
from webhooks_app.events.catalog import Catalog
from webhooks_app.extensions import services
from webhooks_app.web.api import answer_models, rate_limit_headers
from webhooks_app.web.api.authentication import current_token
from webhooks_app.web.api.errors import not_in_catalog, refuse
from webhooks_app.web.api.operations import Operation
from webhooks_app.web.api.preconditions import etag_of, with_etag
from webhooks_app.web.api.request_body import read_json

# What the web's server adds to the WSGI environment; no client can set a name without HTTP_ before it.
FAILURE_KEY = "webhooks_app.failure"
# The names, in lower case, of headers that came more than once: WSGI joins their values.
REPEATED_KEY = "webhooks_app.repeated_headers"
LARGEST_EVENT_BYTES = 256 * 1024
LARGEST_BATCH_BYTES = 4 * 1024 * 1024
LARGEST_BATCH = 1000
LONGEST_KEY = 255
KEY_FIELD = "idempotency_key"  # of an event within a batch
REPLAYED_HEADER = "Idempotent-Replayed"


def raise_failure() -> None:
    """Raise what became of the request's events before it came here, so that it is answered here."""
    failure = request.environ.get(FAILURE_KEY)
    if isinstance(failure, Exception):
        raise failure


def create_event() -> tuple[Response, int]:
    body, raw = read_json(LARGEST_EVENT_BYTES)
    event = new_event(services().catalog, body, raw)
    [accepted] = _accept(Submission(g.workspace_id, [event], _idempotency_key()))
    return _answer(accepted_json(accepted), is_repeat=accepted.is_repeat)


def create_events() -> tuple[Response, int]:
    body, raw = read_json(LARGEST_BATCH_BYTES)
    if not isinstance(body, dict) or set(body) != {"events"} or not isinstance(body["events"], list):
        refuse(422, "invalid", 'Send {"events": [{"type": …, "data": …}, …]}.', "events")
    if not 1 <= len(body["events"]) <= LARGEST_BATCH:
        refuse(422, "invalid", f"A batch has 1 to {LARGEST_BATCH} events.", "events")
    key = _idempotency_key()
    events = _parse_batch(body["events"], raw)
    accepted = _accept(Submission(g.workspace_id, events, batch_key=key))
    is_repeat = all(each.is_repeat for each in accepted)
    answers = [accepted_json(each) | {"repeated": each.is_repeat} for each in accepted]
    return _answer({"events": answers}, is_repeat=is_repeat)


def _answer(body: dict[str, Any], *, is_repeat: bool) -> tuple[Response, int]:
    """Return 202; a repeat of what was accepted before says that it is one."""
    response = jsonify(body)
    if is_repeat:
        response.headers[REPLAYED_HEADER] = "true"
    allowance = services().group_commit.token_limits.allowance_of(current_token().token_hash)
    response.headers.update(rate_limit_headers.of(allowance))
    return response, 202


def _parse_batch(items: list[Any], raw: bytes) -> list[NewEvent]:
    """Return the events of a batch whose body is `raw`. Raises ApiError."""
    catalog, parsed, keys = services().catalog, [], _own_keys(items)
    for position, item in enumerate(items):
        rest = {name: item[name] for name in item if name != KEY_FIELD} if isinstance(item, dict) else item
        parsed.append(_parse_event(catalog, rest, f"events[{position}]."))
    data_as_sent = json_parsing.batch_data_as_sent(raw)
    return [
        NewEvent(event_type, data, raw_data, catalog.indexed_values(event_type, data), key)
        for (event_type, data), raw_data, key in zip(parsed, data_as_sent, keys, strict=True)
    ]


def _own_keys(items: list[Any]) -> list[str | None]:
    """Return the idempotency key that each event of a batch has of its own, or None. Raises ApiError."""
    keys: dict[str, int] = {}
    found: list[str | None] = []
    for position, item in enumerate(items):
        key = item.get(KEY_FIELD) if isinstance(item, dict) else None
        field = f"events[{position}].{KEY_FIELD}"
        if key is not None and not (isinstance(key, str) and is_idempotency_key(key)):
            message = f"An idempotency key has 1 to {LONGEST_KEY} printable ASCII characters."
            refuse(422, "invalid_idempotency_key", message, field)
        if key is not None and keys.setdefault(key, position) != position:
            refuse(422, "invalid_idempotency_key", f"events[{keys[key]}] has the same key.", field)
        found.append(key)
    return found


def new_event(catalog: Catalog, body: Any, raw: bytes) -> NewEvent:
    """Return the event of a request whose body is `raw`, and `body` when parsed. Raises ApiError."""
    event_type, data = _parse_event(catalog, body, "")
    values = catalog.indexed_values(event_type, data)
    return NewEvent(event_type, data, json_parsing.data_as_sent(raw), values)


def show_event(event_id: str) -> Response:
    return _show_event(Event.id == event_id, "There is no such event.")


def show_event_by_key(idempotency_key: str) -> Response:
    message = "There is no event with this key: none was accepted, or it has expired."
    if not is_idempotency_key(idempotency_key):  # PostgreSQL would not even be asked for a NUL
        refuse(404, "not_found", message)
    return _show_event(Event.idempotency_key == idempotency_key, message)


def _show_event(which: ColumnElement[bool], otherwise: str) -> Response:
    with services().read.connect() as connection:
        event = _read_event(connection, which)
        if event is None:
            refuse(404, "not_found", otherwise)
        deliveries = _read_deliveries(connection, event.id)
    return jsonify(
        {
            "id": event.id,
            "type": event.type,
            "timestamp": format_rfc3339(event.created_at),
            "body": bytes(event.body).decode(),
            "payload_erased_at": format_optional(event.payload_erased_at),
            "deliveries": [_delivery_json(row) for row in deliveries],
        }
    )


def _read_event(connection: Connection, which: ColumnElement[bool]) -> Row[*tuple[Any, ...]] | None:
    """Return the workspace's event, or None."""
    columns = (Event.id, Event.type, Event.created_at, Event.body, Event.payload_erased_at)
    is_theirs = Event.workspace_id == g.workspace_id
    return connection.execute(select(*columns).where(is_theirs, which)).first()


def _read_deliveries(connection: Connection, event_id: str) -> Sequence[Row[*tuple[Any, ...]]]:
    columns = (
        Delivery.id,
        Delivery.endpoint_id,
        Delivery.state,
        Delivery.attempt_count,
        Delivery.last_status,
        Delivery.last_outcome,
        Delivery.next_attempt_at,
    )
    of_event = select(*columns).where(Delivery.event_id == event_id)
    return connection.execute(of_event.order_by(Delivery.id)).all()


def _delivery_json(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "endpoint_id": row.endpoint_id,
        "state": row.state.value,
        "attempts": row.attempt_count,
        "last_status": row.last_status,
        "last_outcome": row.last_outcome,
        "next_attempt_at": format_optional(row.next_attempt_at),
    }


def list_event_types() -> Response:
    response = jsonify(
        {
            "event_types": [
                {
                    "name": event_type.name,
                    "group": group.title,
                    "title": event_type.title or None,
                    "description": event_type.description,
                    "schema": event_type.schema,
                    "example": event_type.example,
                }
                for group in services().catalog.groups
                for event_type in group.event_types
            ]
        }
    )
    return with_etag(response, etag_of(response.data))


def _accept(submission: Submission) -> Sequence[Accepted]:
    return services().group_commit.accept(submission, token=current_token())


def accepted_json(accepted: Accepted) -> dict[str, Any]:
    """Return what the answer says of an accepted event."""
    return {"id": accepted.id, "deliveries": accepted.deliveries}


def _parse_event(catalog: Catalog, item: Any, at: str) -> tuple[str, dict[str, Any]]:
    """Return an event's type and data; `at` is where in the body it stands. Raises ApiError."""
    if not isinstance(item, dict):
        refuse(422, "invalid", "An event is an object with type and data.", at.rstrip(".") or None)
    unknown = sorted(set(item) - {"type", "data"})
    if unknown:
        message = f"An event has no field {unknown[0]!r}; it has type and data."
        refuse(422, "unknown_field", message, at + unknown[0])
    event_type, data = item.get("type"), item.get("data")
    if not isinstance(event_type, str) or event_type not in catalog.names:
        refuse(422, "unknown_event_type", not_in_catalog(event_type), f"{at}type")
    if not isinstance(data, dict):
        refuse(422, "invalid", "data must be an object.", f"{at}data")
    problems = catalog.violations(event_type, data)
    if problems:
        refuse(422, "invalid_data", problems[0].message, at + problems[0].field)
    return event_type, data


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if "idempotency-key" in request.environ.get(REPEATED_KEY, ()):
        refuse(400, "invalid_idempotency_key", "Send one Idempotency-Key, not several.", "Idempotency-Key")
    if key is not None and not is_idempotency_key(key):
        message = f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters."
        refuse(400, "invalid_idempotency_key", message, "Idempotency-Key")
    return key


def is_idempotency_key(key: str) -> bool:
    return 0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()


OPERATIONS = (
    Operation(
        id="sendEvent",
        method="POST",
        path="/events",
        view=create_event,
        tag="Events",
        summary="Send an event",
        description=(
            "202 means that the event and its deliveries are on disk. `data` goes on as it was written: "
            "numbers to the last digit, escapes and white space."
        ),
        own_body="EventInput",
        headers=("Idempotency-Key",),
        answer_headers=("Idempotent-Replayed", *rate_limit_headers.NAMES),
        errors=(409, 429),
        scope=TokenScope.EVENTS_SEND,
        answers={202: answer_models.AcceptedEvent},
    ),
    Operation(
        id="sendEvents",
        method="POST",
        path="/events/batch",
        view=create_events,
        tag="Events",
        summary="Send a batch of events",
        description=(
            "All of them are accepted or none. The header is a key for the whole batch; each event may have "
            "one of its own, in whichever batch it comes again."
        ),
        own_body="BatchInput",
        headers=("Idempotency-Key",),
        answer_headers=("Idempotent-Replayed", *rate_limit_headers.NAMES),
        errors=(409, 429),
        scope=TokenScope.EVENTS_SEND,
        answers={202: answer_models.AcceptedBatch},
    ),
    Operation(
        id="getEvent",
        method="GET",
        path="/events/{event_id}",
        view=show_event,
        tag="Events",
        summary="Read an event and how its deliveries stand",
        scope=TokenScope.EVENTS_READ,
        answers={200: answer_models.Event},
        errors=(404,),
    ),
    Operation(
        id="getEventByKey",
        method="GET",
        path="/events/by-key/{idempotency_key}",
        view=show_event_by_key,
        tag="Events",
        summary="Read the event that was accepted under an idempotency key",
        description=(
            "The key is the `Idempotency-Key` of a single event, or an event's own in a batch. 404 if none "
            "was accepted under it, or if it has expired."
        ),
        scope=TokenScope.EVENTS_READ,
        answers={200: answer_models.Event},
        errors=(404,),
    ),
    Operation(
        id="listEventTypes",
        method="GET",
        path="/event-types",
        view=list_event_types,
        tag="Event types",
        summary="Read the catalog",
        scope=None,
        answers={200: answer_models.EventTypeList, 304: None},
        headers=("If-None-Match",),
        answer_headers=("ETag",),
    ),
)
