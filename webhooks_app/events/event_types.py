"""Event types, and the groups that they are listed in."""

import re
from dataclasses import dataclass, field
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class EventType:
    """`schema` is what the `data` of its events fulfils (JSON Schema 2020-12), `example` such data."""

    name: str
    group: str
    description: str
    schema: dict[str, Any] = field(hash=False)
    example: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Event types that are listed together under a title."""

    key: str
    title: str
    event_types: tuple[EventType, ...]
