"""A plan of deliveries, cut anywhere and read again."""

import json

import pytest

from webhooks_app.events import fan_out_plan
from webhooks_app.events.fan_out_plan import FanOutPlan, PlannedDelivery

A, B, NOBODY = ("ws_1", "a"), ("ws_2", "b"), ("ws_1", "nobody")
PLAN = FanOutPlan(
    [("evt_1", A), ("evt_2", NOBODY), ("evt_3", B), ("evt_4", A)], {A: ["ep_1", "ep_2", "ep_3"], B: ["ep_9"]}
)
ALL = [
    *(PlannedDelivery("ws_1", name, "evt_1", "a") for name in ("ep_1", "ep_2", "ep_3")),
    PlannedDelivery("ws_2", "ep_9", "evt_3", "b"),
    *(PlannedDelivery("ws_1", name, "evt_4", "a") for name in ("ep_1", "ep_2", "ep_3")),
]


def test_each_event_goes_to_each_endpoint_of_its_topic() -> None:
    assert PLAN.slice(0, 100) == ALL
    assert PLAN.total() == len(ALL)
    assert [PLAN.count(topic) for topic in (A, NOBODY, B)] == [3, 0, 1]


@pytest.mark.parametrize("count", range(1, 8))
def test_slices_of_any_size_make_up_the_whole(count: int) -> None:
    slices = [PLAN.slice(start, count) for start in range(0, len(ALL), count)]
    assert [each for piece in slices for each in piece] == ALL
    assert all(len(piece) == count for piece in slices[:-1])
    assert PLAN.slice(len(ALL), count) == []


def test_it_is_read_as_it_was_written() -> None:
    read = fan_out_plan.from_json(json.loads(json.dumps(PLAN.as_json())))
    assert [read.slice(start, 2) for start in range(7)] == [PLAN.slice(start, 2) for start in range(7)]


@pytest.mark.parametrize("position", range(8))
def test_what_remains_of_an_event_is_what_comes_behind_the_position(position: int) -> None:
    behind = [each.event_id for each in ALL[position:]]
    for event_id, _ in PLAN.events:
        assert PLAN.remaining(event_id, position) == behind.count(event_id)
    assert PLAN.remaining("evt_of_another_plan", position) == 0
    assert list(PLAN.events_from(position)) == list(dict.fromkeys(behind))


def test_the_plan_of_some_events_is_theirs_alone() -> None:
    assert PLAN.only({"evt_3", "evt_4"}).slice(0, 100) == ALL[3:]
    assert PLAN.only(set()).slice(0, 100) == []
    assert PLAN.only({event_id for event_id, _ in PLAN.events}).slice(0, 100) == ALL
