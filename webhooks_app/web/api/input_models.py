"""What the API takes in bodies, as models. Unknown fields are refused."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webhooks_app.accounts.input_rules import LONGEST_NAME
from webhooks_app.endpoints.custom_headers import LARGEST_HEADER_BYTES, MOST_HEADERS
from webhooks_app.endpoints.endpoint_values import HIGHEST_RATE, LONGEST_TIMEOUT_MS
from webhooks_app.transport.target_urls import LONGEST_URL

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_URL,
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

    name: Annotated[str, Meta(min_length=1, max_length=LARGEST_HEADER_BYTES, examples=["X-Tenant"])]
    value: Annotated[str, Meta(min_length=1, max_length=LARGEST_HEADER_BYTES)] | None = None


Headers = Annotated[list[HeaderInput], Meta(max_length=MOST_HEADERS)]


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
    """For how long earlier secrets keep signing, too."""

    NOW = "now"
    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


class RotateInput(msgspec.Struct, forbid_unknown_fields=True):
    """A rotation of the signing secret."""

    overlap: Annotated[Overlap, Meta(description="For how long earlier secrets keep signing, too.")] = (
        Overlap.DAY
    )


class TestEventInput(msgspec.Struct, forbid_unknown_fields=True):
    """A test event; without data, the catalog's example is sent."""

    type: EventTypeName
    data: dict[str, Any] | None = None
