"""What the API answers, as models, of which its OpenAPI document is made."""

from typing import Annotated, Any

import msgspec

from webhooks_app.db.models import EndpointState
from webhooks_app.endpoints.health import HealthState

Moment = Annotated[
    str,
    msgspec.Meta(
        description="RFC 3339, UTC, to the millisecond.",
        examples=["2026-01-31T12:00:00.123Z"],
        extra_json_schema={"format": "date-time"},
    ),
]

Cursor = Annotated[str | None, msgspec.Meta(description="`cursor` of the next page; null at the end.")]


class AcceptedEvent(msgspec.Struct):
    """An accepted event: it and its deliveries are on disk."""

    id: Annotated[str, msgspec.Meta(examples=["evt_0696ftbf2ajk5e13ck9l7g2lqs"])]
    deliveries: Annotated[int, msgspec.Meta(ge=0, description="How many endpoints it goes to.")]


class BatchEvent(AcceptedEvent):
    """An accepted event of a batch."""

    repeated: Annotated[bool, msgspec.Meta(description="Accepted before, under its key or the batch's.")]


class AcceptedBatch(msgspec.Struct):
    """The accepted events of a batch, in its order."""

    events: list[BatchEvent]


class EventDelivery(msgspec.Struct):
    """How a delivery of an event stands."""

    id: str
    endpoint_id: str
    state: Annotated[str, msgspec.Meta(description="pending, held, delivered, failed or canceled")]
    attempts: Annotated[int, msgspec.Meta(ge=0)]
    last_status: int | None
    last_outcome: str | None
    next_attempt_at: Moment | None


class Event(msgspec.Struct):
    """An event with its deliveries."""

    id: str
    type: str
    timestamp: Moment
    body: Annotated[
        str,
        msgspec.Meta(
            description="The body of its deliveries' requests, as signed; empty once erased, or if damaged."
        ),
    ]
    payload_erased_at: Annotated[Moment | None, msgspec.Meta(description="Since when the body is gone.")]
    deliveries: list[EventDelivery]
    deliveries_to_come: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="How many more it gets: those of a large batch are there after moments."
        ),
    ]


class EventType(msgspec.Struct):
    """A type of the catalog."""

    name: str
    group: Annotated[str, msgspec.Meta(description="Title of the group that it is listed in.")]
    title: Annotated[str | None, msgspec.Meta(description="Its name in words, if it has one.")]
    description: str
    schema: Annotated[dict[str, Any], msgspec.Meta(description="What `data` fulfils: JSON Schema 2020-12.")]
    example: Annotated[dict[str, Any], msgspec.Meta(description="Such `data`.")]


# Not named as its one field: generators of clients make names of both that are the same.
class EventTypeList(msgspec.Struct):
    """The catalog."""

    event_types: list[EventType]


class EndpointHeader(msgspec.Struct):
    """A header that each delivery carries. Its value, often a credential, is never read again."""

    name: str
    value: None = None


class Endpoint(msgspec.Struct, kw_only=True):
    """An endpoint: where to, what, and how."""

    id: Annotated[str, msgspec.Meta(examples=["ep_0696ftbf2ajk5e13ck9l7g2lqs"])]
    name: str
    url: Annotated[
        str,
        msgspec.Meta(description="The values of its query are masked unless the token may change endpoints."),
    ]
    state: EndpointState
    disabled_at: Moment | None
    disabled_reason: str | None
    all_events: bool
    event_types: list[str]
    timeout_seconds: int
    rate_per_second: int | None
    headers: Annotated[
        list[EndpointHeader] | None, msgspec.Meta(description="null where they cannot be decrypted.")
    ]
    managed_by: Annotated[
        str | None, msgspec.Meta(description="What overwrites changes of people, such as a file.")
    ]
    created_at: Moment
    updated_at: Moment


class CreatedEndpoint(Endpoint, kw_only=True):
    """A new endpoint with its signing secret."""

    secret: Annotated[str, msgspec.Meta(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]


class Endpoints(msgspec.Struct):
    """A page of endpoints."""

    data: list[Endpoint]
    next: Cursor


class EndpointHealth(msgspec.Struct, kw_only=True):
    """An endpoint's health: the results of its attempts, and what waits for it."""

    state: HealthState
    failing_since: Moment | None
    failure_count: Annotated[int, msgspec.Meta(description="Failures since then.")]
    last_success_at: Moment | None
    last_failure_at: Moment | None
    last_failure_outcome: str | None
    pending: Annotated[int, msgspec.Meta(description="Deliveries that wait, counted up to 10,000.")]
    held: Annotated[int, msgspec.Meta(description="Deliveries held while it is disabled, up to 10,000.")]
    next_attempt_at: Moment | None


class EnabledEndpoint(Endpoint, kw_only=True):
    """An endpoint that was enabled, and how many held deliveries were sent or discarded."""

    held: int


class Secret(msgspec.Struct, kw_only=True):
    """A signing secret in force; without `expires_at` it is the current one."""

    id: str
    secret: Annotated[str, msgspec.Meta(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]
    created_at: Moment
    expires_at: Moment | None


class Secrets(msgspec.Struct):
    """The signing secrets in force, newest first."""

    data: list[Secret]
    next: Cursor


class Subscription(msgspec.Struct):
    """A subscription of an endpoint."""

    event_type: str
    in_catalog: Annotated[
        bool,
        msgspec.Meta(description="False where the type has left the catalog: no new events come of it."),
    ]


class Subscriptions(msgspec.Struct):
    """The subscriptions of an endpoint; none where it gets all events."""

    data: list[Subscription]
    next: Cursor
    all_events: bool


class TestDelivery(msgspec.Struct):
    """The delivery of a test event."""

    delivery_id: str


class ErrorDetails(msgspec.Struct):
    """What went wrong: `code` for programs, `message` for people, `field` where one is at fault."""

    code: Annotated[str, msgspec.Meta(examples=["invalid"])]
    message: str
    field: str | None


class Problem(msgspec.Struct):
    """The same as problem details (RFC 9457), for whoever accepts `application/problem+json`."""

    type: Annotated[str, msgspec.Meta(examples=["about:blank"])]
    title: str
    status: int
    detail: str
    code: str
    field: str | None


class ErrorAnswer(msgspec.Struct):
    """An answer other than success."""

    error: ErrorDetails
