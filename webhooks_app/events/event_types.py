"""Event types, the groups that they are listed in, and the catalog of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from webhooks_app.events import schema_violations
from webhooks_app.events.schema_violations import Violation

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


class Catalog:
    """All event types, by group, by name and with their validators."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = tuple(groups)
        self.event_types = tuple(each for group in self.groups for each in group.event_types)
        self._by_name = {each.name: each for each in self.event_types}
        self._validators = {
            each.name: schema_violations.validator_of(each.schema) for each in self.event_types
        }
        self.names = frozenset(self._by_name)

    def get(self, name: str) -> EventType | None:
        return self._by_name.get(name)

    def violations(self, name: str, data: object) -> list[Violation]:
        """Return what keeps `data` (parsed JSON) from being the data of a `name` event; empty if nothing."""
        validator = self._validators.get(name)
        if validator is None:
            return [Violation("type", "is not an event type of the catalog")]
        return schema_violations.find(validator, data)
