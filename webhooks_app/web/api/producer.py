"""The producer API, `/api/v1`: internal apps hand over events here."""

from collections.abc import Sequence
from typing import Any

from flask import Response, g, jsonify, request
from sqlalchemy import ColumnElement, Connection, Row, select

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core.clock import format_optional, format_rfc3339
from webhooks_app.db import event_bodies
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.models import Delivery, Event
from webhooks_app.events import fan_out_runs
from webhooks_app.events.submissions import Accepted, Submission
from webhooks_app.extensions import services
from webhooks_app.web.api import answer_models, event_input, rate_limit_headers
from webhooks_app.web.api.authentication import current_token
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.operations import Operation
from webhooks_app.web.api.preconditions import etag_of, with_etag
from webhooks_app.web.api.request_body import read_json
from webhooks_app.web.middleware import logged_ids

# What the web's server adds to the WSGI environment; no client can set a name without HTTP_ before it.
FAILURE_KEY = "webhooks_app.failure"
REPLAYED_HEADER = "Idempotent-Replayed"


def raise_failure() -> None:
    """Raise what became of the request's events before it came here, so that it is answered here."""
    failure = request.environ.get(FAILURE_KEY)
    if isinstance(failure, Exception):
        raise failure


def create_event() -> tuple[Response, int]:
    body, raw = read_json(event_input.LARGEST_EVENT_BYTES)
    event = event_input.new_event(services().catalog, body, raw)
    [accepted] = _accept(Submission(g.workspace_id, [event], event_input.idempotency_key_of_request()))
    logged_ids.add_to_access_log(logged_ids.of_events([accepted.id], is_batch=False))
    return _answer(accepted_json(accepted), is_repeat=accepted.is_repeat)


def create_events() -> tuple[Response, int]:
    body, raw = read_json(event_input.LARGEST_BATCH_BYTES)
    if not isinstance(body, dict) or set(body) != {"events"} or not isinstance(body["events"], list):
        refuse(422, "invalid", 'Send {"events": [{"type": …, "data": …}, …]}.', "events")
    if not 1 <= len(body["events"]) <= event_input.LARGEST_BATCH:
        refuse(422, "invalid", f"A batch has 1 to {event_input.LARGEST_BATCH} events.", "events")
    key = event_input.idempotency_key_of_request()
    events = event_input.new_events(services().catalog, body["events"], raw)
    accepted = _accept(Submission(g.workspace_id, events, batch_key=key))
    logged_ids.add_to_access_log(logged_ids.of_events([each.id for each in accepted], is_batch=True))
    is_repeat = all(each.is_repeat for each in accepted)
    answers = [accepted_json(each) | {"repeated": each.is_repeat} for each in accepted]
    return _answer({"events": answers}, is_repeat=is_repeat)


def _answer(body: dict[str, Any], *, is_repeat: bool) -> tuple[Response, int]:
    """Return 202; a repeat of what was accepted before says that it is one."""
    response = jsonify(body)
    if is_repeat:
        response.headers[REPLAYED_HEADER] = "true"
    allowance = services().group_commit.allowances.allowance_of(current_token().token_hash)
    response.headers.update(rate_limit_headers.rate_limit_headers(allowance))
    return response, 202


def show_event(event_id: str) -> Response:
    return _show_event(Event.id == event_id, "There is no such event.")


def show_event_by_key(idempotency_key: str) -> Response:
    message = "There is no event with this key: none was accepted, or it has expired."
    if not event_input.is_idempotency_key(idempotency_key):  # PostgreSQL would not even be asked for a NUL
        refuse(404, "not_found", message)
    return _show_event(Event.idempotency_key == idempotency_key, message)


def _show_event(which: ColumnElement[bool], otherwise: str) -> Response:
    with services().read.connect() as connection:
        event = _read_event(connection, which)
        if event is None:
            refuse(404, "not_found", otherwise)
        # Before the deliveries: of what is inserted in between, both may tell, and never neither.
        to_come = fan_out_runs.remaining(connection, [event.id])[event.id]
        deliveries = _read_deliveries(connection, event.id)
    logged_ids.add_to_access_log({"event_id": event.id})
    return jsonify(
        {
            "id": event.id,
            "type": event.type,
            "timestamp": format_rfc3339(event.created_at),
            "body": event_bodies.of_event(event.id, event.body).decode(),
            "payload_erased_at": format_optional(event.payload_erased_at),
            "deliveries": [_delivery_json(row) for row in deliveries],
            "deliveries_to_come": to_come,
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
    theirs = select(*columns).where(of_event(event_id))
    return connection.execute(theirs.order_by(Delivery.id)).all()


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
