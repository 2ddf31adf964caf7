"""The details of an audit entry as people read them: durations and moments in words, no raw numbers. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Later than any moment in seconds or milliseconds since 1970 that could be meant.
_MICROSECONDS = 10**14


class Detail(NamedTuple):
    """A label with its value in words or, where it is one, a moment."""

    label: str
    text: str
    moment: datetime | None = None


def in_words(details: Mapping[str, Any]) -> list[Detail]:
    """Return the details in their order; the unit at the end of a name becomes part of the value."""
    return [_in_words(name, value) for name, value in details.items()]


def _in_words(name: str, value: Any) -> Detail:
    label = name.removesuffix("_seconds").removesuffix("_ms").replace("_", " ")
    if isinstance(value, bool):
        return Detail(label, "yes" if value else "no")
    if isinstance(value, int | float) and name.endswith("_seconds"):
        return Detail(label, duration_in_words(value))
    if isinstance(value, int | float) and name.endswith("_ms"):
        return Detail(label, duration_in_words(value / 1000))
    if moment := _moment(value):
        return Detail(label, "", moment)
    return Detail(label, _text(value))


def duration_in_words(seconds: float) -> str:
    """Return `1 day`, `2 hours 30 minutes`, `0.5 seconds`: the two largest units that are in it."""
    if seconds != int(seconds) or seconds <= 0:
        return f"{seconds:g} seconds"
    words, left = [], int(seconds)
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(words[:2])


def _moment(value: Any) -> datetime | None:
    if isinstance(value, int) and value >= _MICROSECONDS:
        return _EPOCH + timedelta(microseconds=value)
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    return str(value)
