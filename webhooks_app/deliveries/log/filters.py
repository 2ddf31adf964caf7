"""Filters of the log, from a URL's arguments and back. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

from webhooks_app.core import clock, ids
from webhooks_app.core.case_folding import fold
from webhooks_app.core.outcome_descriptions import DESCRIPTIONS
from webhooks_app.core.outcomes import OutcomeClass, classify_status
from webhooks_app.deliveries.log import filter_values
from webhooks_app.deliveries.log.filter_values import PAYLOADS, FilterError


class Status(StrEnum):
    """A delivery's state as people see it: `pending` is all that waits, `retrying` and `sending` included.

    `undelivered` is a filter's only: what was attempted and has not arrived, `retrying` or `failed`.
    """

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    PENDING = "pending"
    SENDING = "sending"
    RETRYING = "retrying"
    FAILED = "failed"
    HELD = "held"
    CANCELED = "canceled"


STATUSES = {
    Status.DELIVERED: "Delivered",
    Status.UNDELIVERED: "Failed or retrying",
    Status.PENDING: "Pending, all",
    Status.SENDING: "Sending",
    Status.RETRYING: "Retrying",
    Status.FAILED: "Failed",
    Status.HELD: "Held",
    Status.CANCELED: "Canceled",
}

RANGES = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
CUSTOM = "custom"


class TrafficKind(StrEnum):
    """Whether a delivery is of an event that a producer sent, or of one from the Test tab."""

    REAL = "real"
    TEST = "test"


TRAFFIC = {TrafficKind.REAL: "Real events", TrafficKind.TEST: "Tests"}

_STATUS_CLASSES = {
    "2xx": (OutcomeClass.SUCCESS,),
    "3xx": (OutcomeClass.HTTP_3XX,),
    "4xx": (OutcomeClass.HTTP_4XX, OutcomeClass.HTTP_410, OutcomeClass.HTTP_429),
    "5xx": (OutcomeClass.HTTP_5XX,),
}
_STATUS_CODE = re.compile("[2-5][0-9][0-9]")
_WITHOUT_STATUS = [
    kind for kind in OutcomeClass if not any(kind in kinds for kinds in _STATUS_CLASSES.values())
]
# For the select: the classes of status codes, then what went wrong without one.
RESPONSES = {name: name for name in _STATUS_CLASSES} | {
    kind.value: DESCRIPTIONS[kind].label for kind in _WITHOUT_STATUS
}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What a delivery must fulfil, all of it; an empty field asks for nothing.

    The names are those of the URL's arguments, except that `since` is called `from` there and `within` `in`.
    """

    q: str = ""
    within: str = ""
    status: Status | None = None
    endpoint: str = ""
    event_type: str = ""
    response: str = ""
    traffic: TrafficKind | None = None
    # The deliveries that this recovery dealt with.
    recovery: str = ""
    range: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def arguments(self) -> dict[str, str]:
        """The shortest arguments that `parse` makes this filter of."""
        named = {"since": "from", "within": "in"}
        values = {named.get(field.name, field.name): getattr(self, field.name) for field in fields(self)}
        return {name: _format(value) for name, value in values.items() if value}

    @property
    def status_code(self) -> int | None:
        """The very status that was answered, where one is asked for and not a class of them."""
        return int(self.response) if self.response.isdigit() else None

    @property
    def outcomes(self) -> tuple[OutcomeClass, ...]:
        return _outcomes_of(self.response) if self.response else ()

    @property
    def delivery_id(self) -> str:
        """The delivery that `q` names by its own id or that of one of its attempts, or none."""
        if self.q.startswith("att_"):
            return ids.delivery_id_of(self.q)
        return self.q if self.q.startswith("dlv_") else ""

    @property
    def event_id(self) -> str:
        return self.q if self.q.startswith("evt_") else ""

    @property
    def text(self) -> str:
        """The text that the payload must hold, or none."""
        return "" if self.delivery_id or self.event_id else self.q

    @property
    def value(self) -> str:
        """The text as the index of values holds it, unless whole payloads are to be looked through."""
        return "" if self.within == PAYLOADS else fold(self.text)

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Return from when and until when deliveries are asked for, None where that is open."""
        if self.range in RANGES:
            return now - RANGES[self.range][1], None
        return self.since, self.until


def parse(arguments: Mapping[str, str]) -> LogFilter:
    """Return the filter of a URL's arguments. Raises FilterError."""
    chosen_range = arguments.get("range", "")
    if chosen_range not in ("", "all", CUSTOM, *RANGES):
        raise FilterError("range", "Choose one of the times listed.")
    is_custom = chosen_range in ("", CUSTOM)
    since = filter_values.parse_moment(arguments, "from") if is_custom else None
    until = filter_values.parse_moment(arguments, "until") if is_custom else None
    if since and until and since >= until:
        raise FilterError("until", "The end must lie behind the start.")
    return LogFilter(
        q=filter_values.parse_query(arguments.get("q", "")),
        within=filter_values.parse_within(arguments),
        status=_status(arguments.get("status", "")),
        endpoint=filter_values.parse_endpoint(arguments.get("endpoint", "")),
        event_type=filter_values.parse_event_type(arguments.get("event_type", "")),
        response=_response(arguments.get("response", "").lower()),
        traffic=_traffic(arguments.get("traffic", "")),
        recovery=filter_values.parse_recovery(arguments.get("recovery", "")),
        range=chosen_range if chosen_range in RANGES else (CUSTOM if since or until else ""),
        since=since,
        until=until,
    )


def spell_for_machines(arguments: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments of a filter with its moments as machines get them. Raises FilterError."""
    moments = {name: filter_values.parse_moment(arguments, name) for name in ("from", "until")}
    spelt = {name: clock.format_rfc3339(moment) for name, moment in moments.items() if moment}
    return {**arguments, **spelt}


def parse_cursor(arguments: Mapping[str, str]) -> tuple[str, str]:
    """Return `before` and `after`, of which at least one is empty. Raises FilterError."""
    before, after = arguments.get("before", ""), arguments.get("after", "")
    for name, value in (("before", before), ("after", after)):
        if value and not ids.is_id("dlv", value):
            raise FilterError(name, "This page's address is damaged. Start again from the newest deliveries.")
    if before and after:
        raise FilterError("before", "A page lies either before or after a delivery, not both.")
    return before, after


def _status(value: str) -> Status | None:
    if value and value not in STATUSES:
        raise FilterError("status", f"Choose one of {', '.join(STATUSES)}.")
    return Status(value) if value else None


def _response(value: str) -> str:
    if value and not _outcomes_of(value):
        raise FilterError("response", f"Choose one of {', '.join(RESPONSES)}, or a status such as 404.")
    return value


def _traffic(value: str) -> TrafficKind | None:
    if value and value not in TRAFFIC:
        raise FilterError("traffic", "Choose real events or tests.")
    return TrafficKind(value) if value else None


def _outcomes_of(name: str) -> tuple[OutcomeClass, ...]:
    if name in _STATUS_CLASSES:
        return _STATUS_CLASSES[name]
    if _STATUS_CODE.fullmatch(name):
        return (classify_status(int(name)),)
    return (OutcomeClass(name),) if name in set(OutcomeClass) else ()


def response_filter(outcome: OutcomeClass) -> str:
    """Return the name in RESPONSES that finds deliveries whose last attempt had this outcome."""
    return next((name for name, kinds in _STATUS_CLASSES.items() if outcome in kinds), outcome.value)


def response_label(response: str) -> str:
    """Return what the filter's response is called: `4xx`, `404`, `Timed out`."""
    return RESPONSES.get(response, response)


def _format(value: object) -> str:
    if isinstance(value, datetime):
        # As a field for a date and time takes it: no finer than milliseconds, and no finer than need be.
        precision = "milliseconds" if value.microsecond else "seconds" if value.second else "minutes"
        return value.replace(tzinfo=None).isoformat(timespec=precision)
    return str(value)
