"""Event types, and the groups that they are listed in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webhooks_app.db.models.event_tables import LONGEST_VALUE

NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class EventType:
    """`schema` is what the `data` of its events fulfils (JSON Schema 2020-12), `example` such data.

    `title` is its name in words, which may be empty.
    The log shows the values of the `indexed` fields, and finds an event by them at once.
    """

    name: str
    group: str
    description: str
    schema: dict[str, Any] = field(hash=False)
    example: dict[str, Any] = field(hash=False)
    indexed: tuple[str, ...] = ()
    title: str = ""

    def indexed_values(self, data: Mapping[str, Any]) -> list[str]:
        """Return the values of the indexed fields that `data` has, each once and in their order."""
        values = (_indexed_value(data.get(name)) for name in self.indexed)
        return list(dict.fromkeys(value for value in values if value))


def _indexed_value(value: object) -> str:
    """Return a value as the index holds it; nothing for one that is none, or longer than anybody types."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value).strip()
    return text if len(text) <= LONGEST_VALUE else ""


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Event types that are listed together under a title."""

    key: str
    title: str
    event_types: tuple[EventType, ...]
