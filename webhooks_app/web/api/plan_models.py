"""What the API takes and answers about endpoints that might be put, as models."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from webhooks_app.accounts.input_rules import LONGEST_NAME
from webhooks_app.web.api.answer_models import Endpoint, EndpointHeader, ErrorDetails
from webhooks_app.web.api.input_models import NamedEndpointInput
from webhooks_app.web.api.query_models import LONGEST_PAGE


class PlannedInput(NamedEndpointInput, kw_only=True):
    """An endpoint as it is to be."""

    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, examples=["Billing"])]
    id: Annotated[
        str, Meta(max_length=64, description="The endpoint that is to have the name, whatever it is named.")
    ] = ""


class PlanInput(msgspec.Struct, forbid_unknown_fields=True):
    """Endpoints as they are to be."""

    endpoints: Annotated[list[PlannedInput], Meta(max_length=LONGEST_PAGE)]


class PlannedAction(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    NONE = "none"
    REFUSE = "refuse"


class PlannedSettings(msgspec.Struct, kw_only=True):
    """An endpoint as it would be; its URL and names in the spelling in which they are kept."""

    url: str
    all_events: bool
    event_types: list[str]
    timeout_seconds: int
    rate_per_second: int | None
    headers: list[EndpointHeader]
    disabled: bool
    managed_by: str | None


class PlannedEndpoint(msgspec.Struct, kw_only=True):
    """What would be done about an endpoint."""

    name: str
    action: PlannedAction
    changed: Annotated[list[str], Meta(description="The fields that would change.")] = []
    changed_headers: Annotated[
        list[str], Meta(description="Headers that would come, go or get another value.")
    ] = []
    before: Endpoint | None = None
    after: PlannedSettings | None = None
    etag: Annotated[str | None, Meta(description="For `If-Match`; null of a new one.")] = None
    held: Annotated[
        int, Meta(description="Held deliveries whose fate is to be said to enable it, up to 10,000.")
    ] = 0
    error: ErrorDetails | None = None


class EndpointPlan(msgspec.Struct):
    """What would be done about each of the endpoints, in their order."""

    data: list[PlannedEndpoint]
