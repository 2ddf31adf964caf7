"""What the API takes, as models: bodies and the arguments of URLs. Unknown fields are refused."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webhooks_app.accounts.input_rules import LONGEST_NAME
from webhooks_app.db.models import EndpointState, RecoveryAction
from webhooks_app.deliveries.log import filter_values, filters
from webhooks_app.deliveries.log.filter_values import LONGEST_TEXT
from webhooks_app.deliveries.recoveries import FASTEST_RATE
from webhooks_app.endpoints.custom_headers import MAX_HEADER_BYTES, MAX_HEADERS
from webhooks_app.endpoints.endpoint_values import HIGHEST_RATE, LONGEST_TIMEOUT_MS
from webhooks_app.transport.target_urls import MAX_URL_LENGTH

LONGEST_PAGE = 100
USUAL_PAGE = 50

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="Where deliveries go: https, to a public address unless the settings allow others.",
        examples=["https://hooks.example.com/avra"],
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_NAME,
        description="What people call it; unset, the URL's host.",
        examples=["Billing"],
    ),
]
AllEvents = Annotated[bool, Meta(description="Whether it gets events of every type, future ones included.")]
EventTypeName = Annotated[str, Meta(max_length=64, examples=["batch-lifecycle"])]
EventTypeNames = Annotated[
    list[EventTypeName],
    Meta(max_length=1000, description="Types whose events it gets; needed without `all_events`."),
]
TimeoutSeconds = Annotated[
    int,
    Meta(ge=1, le=LONGEST_TIMEOUT_MS // 1000, description="For the whole of an attempt."),
]
RatePerSecond = Annotated[
    int, Meta(ge=1, le=HIGHEST_RATE, description="Requests a second at most; null: no limit.")
]


RecoveryRate = Annotated[
    int, Meta(ge=1, le=FASTEST_RATE, description="Deliveries a second at most; null: no limit.")
]


ManagedBy = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_NAME,
        description="What overwrites changes of people, such as a file; left out, it stays; null: nothing.",
        examples=["endpoints.yaml"],
    ),
]


class HeaderInput(msgspec.Struct, forbid_unknown_fields=True):
    """A header that each delivery carries; a value of null keeps the stored one, on the same server only."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_HEADER_BYTES, examples=["X-Tenant"])]
    value: Annotated[str, Meta(min_length=1, max_length=MAX_HEADER_BYTES)] | None = None


Headers = Annotated[list[HeaderInput], Meta(max_length=MAX_HEADERS)]


class HeldChoice(StrEnum):
    SEND = "send"
    DISCARD = "discard"


class EndpointSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an endpoint can be given. What is left out is as in a new endpoint."""

    url: Url
    all_events: AllEvents = False
    event_types: EventTypeNames = []
    timeout_seconds: TimeoutSeconds | None = None
    rate_per_second: RatePerSecond | None = None
    headers: Headers = []
    managed_by: ManagedBy | UnsetType | None = UNSET


class EndpointInput(EndpointSettings, kw_only=True):
    """A new endpoint. Without a time-out it gets the workspace's."""

    name: Name | None = None


class NamedEndpointInput(EndpointSettings, kw_only=True):
    """An endpoint as it is to be; its name is in the address."""

    disabled: Annotated[bool, Meta(description="Left out, it stays enabled or disabled.")] | UnsetType = UNSET
    held: (
        Annotated[
            HeldChoice,
            Meta(description="What becomes of held deliveries; needed to enable it where there are any."),
        ]
        | UnsetType
    ) = UNSET


class EndpointChanges(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of an endpoint; what is left out stays. `headers` replaces all of them."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    all_events: AllEvents | UnsetType = UNSET
    event_types: EventTypeNames | UnsetType = UNSET
    timeout_seconds: TimeoutSeconds | UnsetType = UNSET
    rate_per_second: RatePerSecond | UnsetType | None = UNSET
    headers: Headers | UnsetType = UNSET
    managed_by: ManagedBy | UnsetType | None = UNSET


class EnableInput(msgspec.Struct, forbid_unknown_fields=True):
    """What becomes of the deliveries held while it was disabled; needed where there are any."""

    held: HeldChoice | None = None


class Overlap(StrEnum):
    """How long the secrets before it sign, too."""

    NOW = "now"
    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


class RotateInput(msgspec.Struct, forbid_unknown_fields=True):
    """A rotation of the signing secret."""

    overlap: Annotated[Overlap, Meta(description="How long the secrets before it sign, too.")] = Overlap.DAY


class TestEventInput(msgspec.Struct, forbid_unknown_fields=True):
    """A test event; without data, the catalog's example is sent."""

    type: EventTypeName
    data: dict[str, Any] | None = None


Limit = Annotated[int, Meta(ge=1, le=LONGEST_PAGE, description="Entries of the page at most.")]
Cursor = Annotated[str, Meta(max_length=64, description="`next` of the page before.")]


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A page of a list."""

    limit: Limit = USUAL_PAGE
    cursor: Cursor = ""


class ErasureQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How an event's payload is erased."""

    cancel_pending: Annotated[
        bool, Meta(description="Cancel before what is to be sent of the event, except what is being sent.")
    ] = False


class EndpointQuery(PageQuery, kw_only=True):
    """Endpoints, newest first."""

    name: Annotated[str, Meta(max_length=LONGEST_NAME, description="The whole name.")] = ""
    state: EndpointState | UnsetType = UNSET
    event_type: Annotated[EventTypeName, Meta(description="Those that get events of this type.")] = ""


def _one_of(names: Iterable[str], description: str = "", default: str = "") -> Meta:
    """Return what the document says of a field whose values the log's filter checks."""
    return Meta(description=description or None, extra_json_schema={"enum": sorted({*names, default})})


class FilterFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The filter of the delivery log, with the names that the console has in its addresses."""

    status: Annotated[str, _one_of(filters.STATUSES)] = ""
    endpoint: Annotated[str, Meta(max_length=64, description="Id of an endpoint.")] = ""
    event_type: EventTypeName = ""
    response: Annotated[
        str,
        Meta(
            description="The status of the last answer or its class, or the failure without one.",
            extra_json_schema={
                "anyOf": [{"enum": sorted({*filters.RESPONSES, ""})}, {"pattern": "^[2-5][0-9][0-9]$"}]
            },
        ),
    ] = ""
    traffic: Annotated[str, _one_of(filters.TRAFFIC, "Events that producers sent, or test events.")] = ""
    recovery: Annotated[str, Meta(max_length=64, description="Those that this recovery dealt with.")] = ""
    range: Annotated[str, _one_of(filters.RANGES, "So far back from now, instead of `from` and `until`.")] = (
        ""
    )
    since: Annotated[str, Meta(max_length=40, description="Accepted at this moment or later.")] = (
        msgspec.field(default="", name="from")
    )
    until: Annotated[str, Meta(max_length=40, description="Accepted before this moment.")] = ""


class DeliveryQuery(FilterFields, kw_only=True):
    """Deliveries, newest first."""

    q: Annotated[
        str,
        Meta(
            max_length=LONGEST_TEXT,
            description="Id of an event, delivery or attempt, or a value in the data.",
        ),
    ] = ""
    within: Annotated[
        str,
        _one_of(
            [filter_values.VALUES, filter_values.PAYLOADS],
            "Look for `q` among the values of events only, or in whole payloads, which takes longer.",
        ),
    ] = msgspec.field(default="", name="in")
    ids: Annotated[
        str,
        Meta(
            max_length=LONGEST_PAGE * 31,
            description=f"These deliveries, apart by commas, up to {LONGEST_PAGE}; beside no filter.",
        ),
    ] = ""
    limit: Limit = USUAL_PAGE
    cursor: Cursor = ""


class RecoveryInput(FilterFields, kw_only=True):
    """What to recover: every delivery that this filter finds, up to now."""

    action: Annotated[
        RecoveryAction,
        Meta(
            description=(
                "send: attempt what waits now, beside its schedule; replay: that, and give what is finished "
                "a fresh schedule; cancel: what waits."
            )
        ),
    ] = RecoveryAction.REPLAY
    rate_per_second: RecoveryRate | None = None
    q: Annotated[
        str, Meta(max_length=LONGEST_TEXT, description="As for the deliveries: an id, or text of payloads.")
    ] = ""
    status: Annotated[
        str,
        Meta(
            description=(
                "As for the deliveries, but neither sending nor held; send and cancel are for what waits: "
                "pending, retrying or empty."
            )
        ),
    ] = "undelivered"
