"""The delivery log and recoveries as the API answers them: more of `answer_models`."""

from typing import Annotated

import msgspec

from webhooks_app.db.models import RecoveryAction, RecoveryState
from webhooks_app.deliveries.log.filters import Status as DeliveryStatus
from webhooks_app.web.api.answer_models import Cursor, Moment


class Delivery(msgspec.Struct, kw_only=True):
    """A delivery as the log lists it."""

    id: Annotated[str, msgspec.Meta(description="The `webhook-id` of each of its requests.")]
    event_id: str
    event_type: str
    endpoint_id: str
    endpoint_name: str
    url: Annotated[str, msgspec.Meta(description="The values of its query are masked.")]
    status: DeliveryStatus
    attempts: Annotated[int, msgspec.Meta(description="All there were.")]
    attempts_in_schedule: Annotated[int, msgspec.Meta(description="Those of the schedule now running.")]
    last_outcome: Annotated[str | None, msgspec.Meta(description="success, or the class of the failure.")]
    last_status: Annotated[int | None, msgspec.Meta(description="Status code of the last answer.")]
    last_detail: Annotated[
        str | None, msgspec.Meta(description="What went wrong with the last attempt, where it says more.")
    ]
    last_duration_ms: int | None
    created_at: Moment
    last_attempt_at: Moment | None
    next_attempt_at: Moment | None
    finished_at: Moment | None
    payload_erased_at: Annotated[
        Moment | None,
        msgspec.Meta(description="Since when its payload and responses are gone; it cannot be replayed."),
    ]


class Deliveries(msgspec.Struct):
    """A page of the log. It may be short where little matches; the end is where `next` is null."""

    data: list[Delivery]
    next: Cursor


class DeliveryDetails(Delivery, kw_only=True):
    """A delivery with the reason for its status and its payload."""

    headline: Annotated[str, msgspec.Meta(description="Its status in words.")]
    explanation: Annotated[str, msgspec.Meta(description="Why, and what to do about it.")]
    payload: Annotated[
        str, msgspec.Meta(description="The body of its requests, as signed; empty once it was erased.")
    ]


class Phase(msgspec.Struct):
    """A part of an attempt's time."""

    name: str
    duration_ms: float


class Attempt(msgspec.Struct, kw_only=True):
    """A request of a delivery, with what came back."""

    id: str
    number: int
    started_at: Moment
    outcome: str
    detail: str | None
    status: int | None
    duration_ms: float
    phases: list[Phase]
    remote_address: str | None
    is_manual: Annotated[bool, msgspec.Meta(description="Asked for beside the schedule.")]
    request_headers: Annotated[
        list[tuple[str, str]],
        msgspec.Meta(description="Name and value of each; the values of the endpoint's own are masked."),
    ]
    response_headers: str
    headers_are_damaged: Annotated[
        bool, msgspec.Meta(description="What is stored of the headers cannot be read, or not all of it.")
    ]
    response_body: Annotated[str, msgspec.Meta(description="Up to 16 KiB; what is not UTF-8 is escaped.")]
    response_body_base64: str
    response_is_truncated: bool


class Attempts(msgspec.Struct):
    """The newest attempts of a delivery, newest first."""

    data: list[Attempt]
    next: Cursor


class RecoveryOutcomes(msgspec.Struct, kw_only=True):
    """How many of a recovery's deliveries are in each state now, each counted up to 10,000."""

    delivered: int
    pending: int
    retrying: int
    failed: int
    canceled: int
    held: int


class Recovery(msgspec.Struct, kw_only=True):
    """A recovery: every delivery that a filter found, sent, replayed or canceled in the background."""

    id: str
    action: RecoveryAction
    state: RecoveryState
    filter: dict[str, str]
    total: Annotated[int | None, msgspec.Meta(description="As counted at the start, null for over 10,000.")]
    handled: Annotated[int, msgspec.Meta(description="Replayed, sent or canceled so far.")]
    left_out: Annotated[
        int, msgspec.Meta(description="Not as the filter wants them any more, or no way to send.")
    ]
    without_payload: Annotated[
        int, msgspec.Meta(description="Of those left out, the ones whose payload was erased.")
    ]
    rate_per_second: int | None
    started_by: str
    created_at: Moment
    finished_at: Moment | None
    outcomes: Annotated[
        RecoveryOutcomes | None, msgspec.Meta(description="Only where one recovery is read.")
    ] = None


class Recoveries(msgspec.Struct):
    """A page of recoveries, newest first."""

    data: list[Recovery]
    next: Cursor


class RecoveryCount(msgspec.Struct):
    """How many deliveries a recovery would look at."""

    count: int
    is_all: Annotated[bool, msgspec.Meta(description="False where there are more.")]


class ErasedPayload(msgspec.Struct):
    """An event without its payload."""

    event_id: str
    payload_erased_at: Moment
    was_erased: Annotated[bool, msgspec.Meta(description="Whether it was erased before this request.")]
    is_complete: Annotated[
        bool,
        msgspec.Meta(
            description=(
                "False: what is left, of attempts, in PostgreSQL's statistics or on the disk, goes "
                "within the hour by itself, and so does what a process of the version before may still "
                "record in an upgrade. A repeat says how it stands then."
            )
        ),
    ]
    attempts_erased: Annotated[int, msgspec.Meta(ge=0)]
    deliveries_canceled: Annotated[int, msgspec.Meta(ge=0)]
