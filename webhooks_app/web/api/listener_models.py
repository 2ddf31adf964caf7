"""What the API takes and answers about listeners."""

from typing import Annotated

import msgspec
from msgspec import Meta

from webhooks_app.core.outcomes import LONGEST_DETAIL, OutcomeClass
from webhooks_app.db.models import DeliveryState
from webhooks_app.listeners import attempt_reports, past_events
from webhooks_app.transport.target_urls import LONGEST_URL
from webhooks_app.web.api.answer_models import Cursor, Moment
from webhooks_app.web.api.input_models import EventTypeName, TimeoutSeconds

LONGEST_WAIT_SECONDS = 25
MOST_AT_ONCE = 20
NAME_PATTERN = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
# Base64 of what is recorded of a body.
_LONGEST_BODY = 4 * (-(-attempt_reports.RECORDED_BYTES // 3))
_LONGEST_US = 2**31 - 1

SessionId = Annotated[str, Meta(max_length=64, description="`session` of the answer that it began with.")]
Target = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_URL,
        description="Where the program hands them on to, for people to read; the platform never asks it.",
        examples=["http://localhost:3000/webhooks"],
    ),
]
Microseconds = Annotated[int, Meta(ge=0, le=_LONGEST_US)]


class ListenerInput(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A listener as it is to be. Under a name that the token used before, it keeps the secret that it had."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN, max_length=63, examples=["laptop"])]
    forward_to: Target
    event_types: Annotated[
        list[EventTypeName], Meta(max_length=1000, description="Types whose events it gets; none: all.")
    ] = []
    timeout_seconds: TimeoutSeconds | None = None
    since_seconds: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=int(past_events.LONGEST.total_seconds()),
                description=f"Events of the last so many seconds are added: the newest {past_events.MOST:,}.",
            ),
        ]
        | None
    ) = None


class ListenerOwner(msgspec.Struct):
    """The token that a listener was made with."""

    id: str
    name: str


class Listener(msgspec.Struct, kw_only=True):
    """An endpoint that is there for as long as a program asks for its deliveries."""

    id: Annotated[str, Meta(description="Its id as an endpoint, also in the log.")]
    name: str
    token: ListenerOwner
    forward_to: str
    event_types: Annotated[list[str], Meta(description="None: all.")]
    timeout_seconds: int
    started_at: Moment
    ends_at: Annotated[Moment, Meta(description="When it ends unless its program asks again.")]


class Listeners(msgspec.Struct):
    """The listeners that are there now."""

    data: list[Listener]
    next: Cursor


class StartedListener(Listener, kw_only=True):
    """A listener that is now served by the program that asked."""

    session: str
    secret: Annotated[str, Meta(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])]
    workspace_id: str
    workspace_name: str
    resumed: Annotated[bool, Meta(description="It had not ended: what waited for it waits still.")]
    added: Annotated[int, Meta(description="Events of the past that were added.")]
    left_out: Annotated[
        bool, Meta(description="Older ones of that time were left out, as they are too many.")
    ]


class ClaimInput(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who asks for requests, and how long for."""

    session: SessionId
    wait_seconds: Annotated[int, Meta(ge=0, le=LONGEST_WAIT_SECONDS)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] = 1


class ListenerRequest(msgspec.Struct, kw_only=True):
    """A request to hand on, as a worker would send it now."""

    delivery_id: str
    event_id: str
    claim: Annotated[str, Meta(description="For the report on it.")]
    attempt: Annotated[int, Meta(description="Its number within the retry schedule.")]
    is_test: bool
    headers: list[tuple[str, str]]
    body: Annotated[str, Meta(description="Its UTF-8 is what was signed, byte for byte.")]


class ListenerRequests(msgspec.Struct):
    """What is due, oldest event first; nothing where nothing came in time."""

    data: list[ListenerRequest]
    ends_at: Moment


class ReportInput(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The result of a request: an answer with its status, or the failure to get one."""

    delivery_id: Annotated[str, Meta(max_length=64)]
    claim: Annotated[str, Meta(max_length=64)]
    target: Target
    status: Annotated[int, Meta(ge=100, le=999)] | None = None
    failure: (
        Annotated[
            str,
            Meta(
                extra_json_schema={"enum": sorted(attempt_reports.FAILURES)}, description="Without a status."
            ),
        ]
        | None
    ) = None
    detail: Annotated[str, Meta(max_length=LONGEST_DETAIL)] = ""
    response_headers: Annotated[list[tuple[str, str]], Meta(max_length=200)] = []
    response_body_base64: Annotated[
        str,
        Meta(
            max_length=_LONGEST_BODY, description=f"Up to {attempt_reports.RECORDED_BYTES // 1024} KiB of it."
        ),
    ] = ""
    is_truncated: bool = False
    first_byte_us: Microseconds = 0
    total_us: Microseconds = 0


class ReportResult(msgspec.Struct):
    """What follows for the delivery."""

    outcome: OutcomeClass
    state: DeliveryState
    next_attempt_at: Moment | None
    is_current: Annotated[
        bool, Meta(description="False where the claim was no longer good: then only a success counts.")
    ]


class EndedListener(msgspec.Struct):
    """How many deliveries waited for the listener, and were canceled."""

    canceled: int
