"""Which deliveries a group of events gets, in which order. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

# What subscribes is looked up by: a workspace's id and the name of an event type.
Topic = tuple[str, str]


class PlannedDelivery(NamedTuple):
    """A delivery that is to be made, without its id and its state."""

    workspace_id: str
    endpoint_id: str
    event_id: str
    event_type: str


@dataclass(slots=True, frozen=True)
class FanOutPlan:
    """The events in their order, each with its topic; and the endpoints that each topic goes to."""

    events: list[tuple[str, Topic]]
    endpoints: Mapping[Topic, Sequence[str]]

    def count(self, topic: Topic) -> int:
        """Return how many deliveries an event of the topic gets."""
        return len(self.endpoints.get(topic, ()))

    def total(self) -> int:
        """Return how many deliveries there are in all."""
        return sum(self.count(topic) for _, topic in self.events)

    def only(self, event_ids: Collection[str]) -> "FanOutPlan":
        """Return the plan of no other events than these."""
        if len(event_ids) == len(self.events):
            return self
        return FanOutPlan([each for each in self.events if each[0] in event_ids], self.endpoints)

    def slice(self, start: int, count: int) -> list[PlannedDelivery]:
        """Return up to `count` deliveries from number `start` on, those of one event after the other."""
        return list(islice(self._from(start), count))

    def remaining(self, event_id: str, position: int) -> int:
        """Return how many of the event's deliveries come at or after number `position`."""
        reached = 0
        for name, topic in self.events:
            reached += self.count(topic)
            if name == event_id:
                return min(self.count(topic), max(0, reached - position))
        return 0

    def events_from(self, position: int) -> Iterator[str]:
        """Yield the events that deliveries at or after number `position` are of."""
        reached = 0
        for name, topic in self.events:
            reached += self.count(topic)
            if reached > position and self.count(topic):
                yield name

    def _from(self, start: int) -> Iterator[PlannedDelivery]:
        for event_id, topic in self.events:
            endpoints = self.endpoints.get(topic, ())
            if start < len(endpoints):
                workspace_id, event_type = topic
                for endpoint_id in endpoints[start:]:
                    yield PlannedDelivery(workspace_id, endpoint_id, event_id, event_type)
            start = max(0, start - len(endpoints))

    def as_json(self) -> dict[str, Any]:
        """Return it as a value that JSON holds; each topic stands once, and events name it by its number."""
        numbers = {topic: number for number, topic in enumerate(self.endpoints)}
        reached = [(event_id, numbers[topic]) for event_id, topic in self.events if topic in numbers]
        topics = [[*topic, list(endpoints)] for topic, endpoints in self.endpoints.items()]
        return {"topics": topics, "events": reached}


def from_json(value: Mapping[str, Any]) -> FanOutPlan:
    """Return the plan that `as_json` made the value of."""
    topics = [(workspace_id, event_type) for workspace_id, event_type, _ in value["topics"]]
    endpoints = {topic: each[2] for topic, each in zip(topics, value["topics"], strict=True)}
    return FanOutPlan([(event_id, topics[number]) for event_id, number in value["events"]], endpoints)
