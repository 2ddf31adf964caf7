"""When a group may be accepted by one statement without a transaction around it."""

import pytest

from webhooks_app.db.event_inserts import NewEventRow
from webhooks_app.events import fan_out
from webhooks_app.events.fan_out import FanOutLimits
from webhooks_app.events.subscribers import Subscribers

TOPIC, OTHER = ("ws_1", "a"), ("ws_1", "b")
LIMITS = FanOutLimits(smallest_piece=4)


def row(topic: tuple[str, str], key: str | None = None) -> NewEventRow:
    return NewEventRow("evt_1", *topic, b"{}", key, None)


@pytest.mark.parametrize(
    ("rows", "is_one"),
    [
        ([row(TOPIC)], True),
        ([row(TOPIC), row(TOPIC)], True),  # as many deliveries as a piece holds
        ([row(TOPIC), row(TOPIC), row(OTHER)], False),
        ([row(TOPIC), row(("ws_2", "a"))], True),  # whose workspace has no endpoints
        ([row(TOPIC, "key")], False),  # the event that has the key is looked for then
        ([row(OTHER), row(OTHER, "key")], False),
    ],
)
def test_it_is_one_without_keys_and_with_no_more_than_a_piece(rows: list[NewEventRow], is_one: bool) -> None:
    found = Subscribers({}, {TOPIC: ["ep_1", "ep_2"], OTHER: ["ep_3"]}, frozenset())
    assert fan_out.is_one_statement(rows, found, LIMITS) is is_one


def test_it_is_more_than_one_where_an_endpoint_is_disabled() -> None:
    """Whether it still is takes a look, under a lock."""
    found = Subscribers({}, {TOPIC: ["ep_1"]}, frozenset({"ep_1"}))
    assert fan_out.is_one_statement([row(TOPIC)], found, LIMITS) is False
