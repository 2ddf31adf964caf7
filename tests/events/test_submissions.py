"""What producers hand over, as the rest of the platform gets it."""

import json

import pytest

from webhooks_app.events.event_types import EventType
from webhooks_app.events.submissions import Accepted, KeyReused, NewEvent, Submission


def test_data_of_this_process_are_written_without_space_and_as_they_are_read() -> None:
    event = NewEvent.of("batch", {"note": "ü", "sizes": [1, 2]}, ["b1"])
    assert event.raw_data == '{"note":"ü","sizes":[1,2]}'.encode()
    assert (event.type, event.data, event.values) == ("batch", json.loads(event.raw_data), ["b1"])
    assert event.idempotency_key is None


def test_what_is_no_json_cannot_be_handed_over() -> None:
    with pytest.raises(ValueError):
        NewEvent.of("batch", {"share": float("nan")})


def test_an_example_is_found_by_its_values() -> None:
    example = {"batch_id": "b1", "status": "queued"}
    event_type = EventType("batch", "group", "", {}, example, indexed=("batch_id",))
    assert NewEvent.example_of(event_type) == NewEvent.of("batch", example, ["b1"])


def test_a_repeat_is_the_same_event() -> None:
    assert Accepted("evt_1", 2, is_repeat=True) == Accepted("evt_1", 2)
    assert Accepted("evt_1", 2) != Accepted("evt_1", 3)
    assert not Accepted("evt_1", 2).is_repeat


@pytest.mark.parametrize("position", [None, 0, 7])
def test_a_reused_key_says_whose_it_is(position: int | None) -> None:
    error = KeyReused(position)
    assert (error.position, error.args) == (position, (position,))


def test_a_submission_has_no_key_unless_it_is_given_one() -> None:
    submission = Submission("ws_1", [])
    assert (submission.idempotency_key, submission.batch_key) == (None, None)
