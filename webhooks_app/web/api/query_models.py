"""What the API takes to find things, as models: pages, and filters, a recovery's among them.

Unknown fields are refused.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from webhooks_app.accounts.input_rules import LONGEST_NAME
from webhooks_app.db.models import EndpointState, RecoveryAction
from webhooks_app.deliveries.log import filter_values, filters
from webhooks_app.deliveries.log.filter_values import LONGEST_TEXT
from webhooks_app.deliveries.recoveries import FASTEST_RECOVERY
from webhooks_app.web.api.input_models import EventTypeName

LONGEST_PAGE = 100
USUAL_PAGE = 50

Limit = Annotated[int, Meta(ge=1, le=LONGEST_PAGE, description="Entries of the page at most.")]
Cursor = Annotated[str, Meta(max_length=64, description="`next` of the page before.")]
RecoveryRate = Annotated[
    int, Meta(ge=1, le=FASTEST_RECOVERY, description="Deliveries a second at most; null: no limit.")
]


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
            description=f"These deliveries, separated by commas, up to {LONGEST_PAGE}; beside no filter.",
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
