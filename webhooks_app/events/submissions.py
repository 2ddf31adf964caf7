"""What producers hand over, and what comes of it. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from webhooks_app.events.event_types import EventType


@dataclass(slots=True, frozen=True)
class NewEvent:
    """What a producer hands over; `data` fulfils the schema of `type`, `raw_data` is its JSON as written.

    `values` are what the log finds it by: see `Catalog.indexed_values`. Where its idempotency key was used
    before, nothing is stored of it and the earlier event is returned.
    """

    type: str
    data: dict[str, Any]
    raw_data: bytes
    values: Sequence[str] = ()
    idempotency_key: str | None = None

    @classmethod
    def of(cls, type: str, data: dict[str, Any], values: Sequence[str] = ()) -> Self:
        """Return an event whose data this process writes as JSON, without space."""
        raw_data = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return cls(type, data, raw_data, values)

    @classmethod
    def example_of(cls, event_type: EventType) -> Self:
        """Return an event with the catalog's example of its data."""
        return cls.of(event_type.name, event_type.example, event_type.indexed_values(event_type.example))


@dataclass(slots=True, frozen=True)
class Accepted:
    """The event's id, and how many deliveries it has. `is_repeat`: it was accepted before, under its key."""

    id: str
    deliveries: int
    is_repeat: bool = field(default=False, compare=False)


class KeyReused(Exception):
    """The idempotency key belongs to an event with another type or data, or to another batch.

    `position` is that of the event whose own key it is, within its batch.
    """

    def __init__(self, position: int | None = None) -> None:
        super().__init__(position)
        self.position = position


@dataclass(slots=True, frozen=True)
class Submission:
    """What one request hands over: its events are accepted all or none.

    An idempotency key goes with a single event; where it was used before, nothing is stored and the earlier
    event is returned. A batch key is one for all of the events together, and the answer the earlier one.
    """

    workspace_id: str
    events: Sequence[NewEvent]
    idempotency_key: str | None = None
    batch_key: str | None = None


# What comes of a submission: its events as accepted, or the reason why none was.
SubmissionResult = Sequence[Accepted] | Exception
