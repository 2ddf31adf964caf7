"""What the API answers, as models, of which its OpenAPI document is made."""

from typing import Annotated, Any

import msgspec

Moment = Annotated[
    str,
    msgspec.Meta(
        description="RFC 3339, UTC, to the millisecond.",
        examples=["2026-01-31T12:00:00.123Z"],
        extra_json_schema={"format": "date-time"},
    ),
]


class AcceptedEvent(msgspec.Struct):
    """An accepted event: it and its deliveries are on disk."""

    id: Annotated[str, msgspec.Meta(examples=["evt_0696ftbf2ajk5e13ck9l7g2lqs"])]
    deliveries: Annotated[int, msgspec.Meta(ge=0, description="How many endpoints it goes to.")]


class AcceptedBatch(msgspec.Struct):
    """The accepted events of a batch, in its order."""

    events: list[AcceptedEvent]


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
    body: Annotated[str, msgspec.Meta(description="The body of its deliveries' requests, as signed.")]
    deliveries: list[EventDelivery]


class EventType(msgspec.Struct):
    """A type of the catalog."""

    name: str
    group: Annotated[str, msgspec.Meta(description="Title of the group that it is listed in.")]
    description: str
    schema: Annotated[dict[str, Any], msgspec.Meta(description="What `data` fulfils: JSON Schema 2020-12.")]
    example: Annotated[dict[str, Any], msgspec.Meta(description="Such `data`.")]


class EventTypes(msgspec.Struct):
    """The catalog."""

    event_types: list[EventType]
