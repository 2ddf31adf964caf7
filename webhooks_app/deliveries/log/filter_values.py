"""Single values of the log's filter, from a URL's arguments. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from webhooks_app.core import ids
from webhooks_app.events.event_types import NAME

LONGEST_TEXT = 200
# As `in`: look among the values that events are indexed by, or through whole payloads. Without it, among the
# values if the text is one of them by now.
VALUES, PAYLOADS = "values", "payloads"


class FilterError(ValueError):
    """An argument that cannot be used; `field` names it and the message says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_query(text: str) -> str:
    # No stored text holds one: JSON escapes it. Without it, another text would be looked for, and acted on.
    if "\0" in text:
        raise FilterError("q", "This holds a NUL character, which no payload holds. Leave it out.")
    q = text.strip()
    if len(q) > LONGEST_TEXT:
        raise FilterError("q", f"Look for {LONGEST_TEXT} characters at most.")
    if not _is_whole(q):
        raise FilterError("q", f"“{q}” is not a whole id. Paste all of its characters.")
    return q


def parse_within(arguments: Mapping[str, str]) -> str:
    within = arguments.get("in", "")
    if within not in ("", VALUES, PAYLOADS):
        raise FilterError("q", "Look among values or in payloads.")
    return within if arguments.get("q", "").strip() else ""


def _is_whole(q: str) -> bool:
    """Whether `q` is a whole id, or does not look like an id at all."""
    kind = q.partition("_")[0]
    if kind == "att":
        return ids.is_id("dlv", ids.delivery_id_of(q))
    return kind not in ("dlv", "evt") or ids.is_id(kind, q)


def parse_endpoint(value: str) -> str:
    if value and not ids.is_id("ep", value):
        raise FilterError("endpoint", "Choose one of the endpoints listed.")
    return value


def parse_event_type(value: str) -> str:
    # Types that have left the catalog stay in the log.
    if value and not NAME.fullmatch(value):
        raise FilterError("event_type", "Choose one of the event types listed.")
    return value


def parse_recovery(value: str) -> str:
    if value and not ids.is_id("rcv", value):
        raise FilterError("recovery", f"“{value}” is not a recovery’s whole id.")
    return value


def parse_moment(arguments: Mapping[str, str], name: str) -> datetime | None:
    text = arguments.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FilterError(name, "Enter a date and time such as 2025-11-23T20:58.") from None
    if not 1970 <= moment.year < 9999:
        raise FilterError(name, "Enter a date between 1970 and 9998.")
    return moment
