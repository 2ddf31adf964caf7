import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from webhooks_app.core import ids

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)


def test_an_id_is_its_prefix_and_26_characters_that_need_no_escaping() -> None:
    prefix, _, rest = ids.new("evt").partition("_")
    assert prefix == "evt"
    assert len(rest) == 26
    assert set(rest) <= set("0123456789abcdefghijklmnopqrstuv")


def test_ids_do_not_repeat() -> None:
    assert len({ids.new("evt") for _ in range(10_000)}) == 10_000


def test_an_id_knows_when_it_was_made() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made_at = ids.created_at(ids.new("evt"))
    assert before <= made_at <= datetime.now(UTC)
    assert made_at.utcoffset() == timedelta(0)


def test_ids_sort_by_time() -> None:
    moments = [MOMENT + timedelta(milliseconds=step) for step in (0, 1, 2, 1_000, 86_400_000, 10**12)]
    floors = [ids.floor("evt", moment) for moment in moments]
    assert floors == sorted(floors)
    assert len(set(floors)) == len(floors)


def test_ids_sort_in_the_order_in_which_a_process_makes_them() -> None:
    made = [one for _ in range(2_000) for one in (ids.new("evt"), *ids.several("evt", 3))]
    assert made == sorted(set(made))
    assert len({ids.created_at(one) for one in made}) < len(made) / 10  # many of one millisecond each


def test_ids_that_threads_make_side_by_side_do_not_repeat() -> None:
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: [ids.new("evt") for _ in range(2_000)], range(8)))
    assert all(each == sorted(each) for each in lists)
    assert len(set(chain(*lists))) == 16_000


def test_a_forked_process_makes_ids_though_another_thread_was_making_one() -> None:
    with ids._CLOCK._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            os._exit(0 if ids.is_id("evt", ids.new("evt")) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_several_ids_come_in_ascending_order_without_repeats() -> None:
    made = ids.several("dlv", 1_000)
    assert made == sorted(set(made))
    assert len(made) == 1_000
    assert all(ids.is_id("dlv", one) for one in made)
    assert len({ids.created_at(one) for one in made}) == 1
    assert ids.several("dlv", 0) == []


@pytest.mark.parametrize("milliseconds", range(0, 1000, 37))
def test_the_floor_of_a_moment_is_exactly_that_moment(milliseconds: int) -> None:
    moment = MOMENT.replace(microsecond=milliseconds * 1000)
    assert ids.created_at(ids.floor("evt", moment)) == moment


def test_the_floor_lies_below_every_id_of_its_moment() -> None:
    made = ids.new("evt")
    made_at = ids.created_at(made)
    assert ids.floor("evt", made_at) <= made < ids.floor("evt", made_at + timedelta(milliseconds=1))


def test_the_floor_of_a_moment_before_1970_is_the_smallest_id() -> None:
    assert ids.floor("evt", datetime(1815, 12, 10, tzinfo=UTC)) == "evt_" + "0" * 26


NOT_IDS = [
    "",
    "evt",
    "evt_",
    "evt_" + "0" * 25,
    "evt_" + "0" * 27,
    "evt_" + "0" * 18,  # which base32 decodes
    "evt_" + "0" * 34,
    "evt_" + "0" * 20 + "\u017f" + "0" * 5,  # upper-cased it is an S
    "evt_" + "0" * 25 + "w",  # one past the alphabet
    "evt_" + "0" * 25 + "é",
    "evt_" + "0" * 25 + "=",
    "evt_" + "0" * 25 + " ",
    "evt_" + "0" * 25 + "\n",
]


@pytest.mark.parametrize("text", NOT_IDS)
def test_what_is_not_an_id_has_no_time_and_is_none(text: str) -> None:
    assert not ids.is_id("evt", text)
    with pytest.raises(ValueError):
        ids.created_at(text)


def test_an_id_is_one_of_its_own_kind_only() -> None:
    made = ids.floor("evt", MOMENT)[:-4] + "abcg"
    assert ids.is_id("evt", made)
    assert not ids.is_id("dlv", made)
    assert not ids.is_id("ev", made)
    assert not ids.is_id("evt", "evt_" + made.removeprefix("evt_").upper())
    assert not ids.is_id("evt", made.removeprefix("evt_"))


@pytest.mark.parametrize("text", ["evt_" + "v" * 25 + "s", "evt_v" + "0" * 25])
def test_an_id_from_past_the_year_9999_is_none(text: str) -> None:
    assert not ids.is_id("evt", text)


@pytest.mark.parametrize(
    "text",
    ["evt_" + "0" * 20 + "\u017f" + "0" * 5, "evt_more_" + "0" * 26, "evt_" + "0" * 25 + "1"],
    ids=["long-s-becomes-S", "something-between", "bits-past-the-end"],
)
def test_an_id_has_one_spelling(text: str) -> None:
    assert not ids.is_id("evt", text)


def test_an_attempts_id_sorts_by_its_turn_and_tells_its_delivery() -> None:
    delivery_id = ids.new("dlv")
    made = [ids.attempt_id(delivery_id, generation) for generation in (1, 2, 10, 9999)]
    assert made[0] == delivery_id.replace("dlv_", "att_") + "0001"
    assert made == sorted(made)
    assert {ids.delivery_id_of(one) for one in made} == {delivery_id}
