"""What is done with an endpoint over the API: enable, disable, test; and its health."""

from flask import Response, g

from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import json_parsing
from webhooks_app.core.clock import format_optional
from webhooks_app.endpoints import actions, waiting_counts
from webhooks_app.endpoints import health as endpoint_health
from webhooks_app.events import test_events
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db, services
from webhooks_app.web.api import answer_models, endpoint_answers, endpoint_input, preconditions
from webhooks_app.web.api.authentication import actor
from webhooks_app.web.api.endpoints import reload, respond_with
from webhooks_app.web.api.errors import refuse
from webhooks_app.web.api.event_input import LARGEST_EVENT_BYTES
from webhooks_app.web.api.input_models import EnableInput, HeldChoice, TestEventInput
from webhooks_app.web.api.loading import load_endpoint
from webhooks_app.web.api.operations import Operation, respond
from webhooks_app.web.middleware import logged_ids


def disable_endpoint(endpoint_id: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    actions.disable(services().write, endpoint, seen_at=preconditions.seen_at(endpoint), actor=actor())
    return respond_with(reload(endpoint))


def enable_endpoint(endpoint_id: str, body: EnableInput) -> Response:
    endpoint = load_endpoint(endpoint_id)
    count = 0
    seen_at = preconditions.seen_at(endpoint)
    if not endpoint.is_enabled:
        if body.held is None and waiting_counts.count_held(db.session(), endpoint.id):
            refuse(422, "invalid", "Deliveries were held: say send or discard.", "held")
        is_sent = body.held is HeldChoice.SEND
        count = actions.enable(services().write, endpoint, send_held=is_sent, seen_at=seen_at, actor=actor())
        if count and is_sent:
            services().wake_ups.wake_worker()
    endpoint = reload(endpoint)
    enabled = answer_models.EnabledEndpoint(**endpoint_answers.fields(endpoint), held=count)
    return preconditions.with_etag(respond(enabled), endpoint_answers.etag(endpoint))


def send_test_event(endpoint_id: str, body: TestEventInput) -> Response:
    endpoint = load_endpoint(endpoint_id, with_listeners=True)
    event = _test_event(body)
    if not endpoint.is_enabled:
        refuse(409, "endpoint_disabled", "This endpoint is disabled, so nothing was sent. Enable it first.")
    delivery_id = test_events.send_test(services().write, services().wake_ups, endpoint, event, actor=actor())
    logged_ids.add_to_access_log({"delivery_id": delivery_id})
    return respond(answer_models.TestDelivery(delivery_id), 202)


def _test_event(body: TestEventInput) -> NewEvent:
    endpoint_input.check_event_type(body.type, "type")
    catalog = services().catalog
    event_type = catalog.get(body.type)
    assert event_type is not None
    if body.data is None:
        return NewEvent.example_of(event_type)
    if problems := catalog.violations(body.type, body.data):
        refuse(422, "invalid_data", problems[0].message, problems[0].field)
    raw_data, values = json_parsing.data_as_sent(g.raw_body), event_type.indexed_values(body.data)
    return NewEvent(body.type, body.data, raw_data, values)


def read_health(endpoint_id: str) -> Response:
    endpoint = load_endpoint(endpoint_id)
    health, backlog = endpoint.health, waiting_counts.read_backlog(db.session(), endpoint.id)
    return respond(
        answer_models.EndpointHealth(
            state=endpoint_health.read(db.session(), endpoint.id),
            failing_since=format_optional(health.failing_since),
            failure_count=health.failure_count,
            last_success_at=format_optional(health.last_success_at),
            last_failure_at=format_optional(health.last_failure_at),
            last_failure_outcome=health.last_failure_outcome,
            pending=backlog.count,
            held=0 if endpoint.is_enabled else backlog.held,
            next_attempt_at=format_optional(backlog.next_attempt_at),
        )
    )


_TAG = "Endpoints"

OPERATIONS = (
    Operation(
        id="disableEndpoint",
        method="POST",
        path="/endpoints/{endpoint_id}/disable",
        view=disable_endpoint,
        tag=_TAG,
        summary="Disable an endpoint",
        description="Its events are held from now on, with what is pending. Disabled already, it stays so.",
        scope=TokenScope.ENDPOINTS_WRITE,
        answers={200: answer_models.Endpoint},
        headers=("If-Match",),
        answer_headers=("ETag",),
        errors=(404, 412),
    ),
    Operation(
        id="enableEndpoint",
        method="POST",
        path="/endpoints/{endpoint_id}/enable",
        view=enable_endpoint,
        tag=_TAG,
        summary="Enable an endpoint",
        description="Where deliveries were held, say whether they are sent or discarded.",
        scope=TokenScope.ENDPOINTS_WRITE,
        body=EnableInput,
        is_body_optional=True,
        answers={200: answer_models.EnabledEndpoint},
        headers=("If-Match",),
        answer_headers=("ETag",),
        errors=(404, 412, 422),
    ),
    Operation(
        id="sendTestEvent",
        method="POST",
        path="/endpoints/{endpoint_id}/test",
        view=send_test_event,
        tag=_TAG,
        summary="Send a test event",
        description="A real event, to this endpoint only, whether it subscribes to the type or not.",
        scope=TokenScope.ENDPOINTS_WRITE,
        body=TestEventInput,
        largest_body_bytes=LARGEST_EVENT_BYTES,
        answers={202: answer_models.TestDelivery},
        errors=(404, 409, 422),
    ),
    Operation(
        id="getEndpointHealth",
        method="GET",
        path="/endpoints/{endpoint_id}/health",
        view=read_health,
        tag=_TAG,
        summary="Read an endpoint's health",
        scope=TokenScope.ENDPOINTS_READ,
        answers={200: answer_models.EndpointHealth},
        errors=(404,),
    ),
)
