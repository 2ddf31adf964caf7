import random

import pytest

from webhooks_app.worker.concurrency import (
    LARGEST,
    SMALLEST,
    START,
    Concurrency,
    EndpointConcurrency,
    ObservedHealth,
)


def windows_of(**sizes: float) -> Concurrency:
    windows = Concurrency(400)
    for endpoint_id, size in sizes.items():
        windows.of(endpoint_id).size = size
        windows.of(endpoint_id).standing = ObservedHealth.PROVEN
    return windows


def send(windows: Concurrency, endpoint_id: str, count: int = 1) -> None:
    for _ in range(count):
        windows.sent(endpoint_id)


def answer(windows: Concurrency, endpoint_id: str, *, healthy: bool, count: int = 1) -> None:
    for _ in range(count):
        windows.sent(endpoint_id)
        windows.answered(endpoint_id, healthy=healthy, mute=not healthy)


# One window


def test_an_endpoint_starts_with_a_moderate_window() -> None:
    assert Concurrency(400).of("a").room == START
    assert SMALLEST < START < LARGEST


def test_what_is_in_flight_takes_room_until_it_is_answered() -> None:
    windows = windows_of(a=4)
    send(windows, "a", 3)
    assert windows.of("a").room == 1
    windows.answered("a", healthy=True)
    assert windows.of("a").in_flight == 2
    assert windows.of("a").room == 3  # the slot that came back, and one that was earned


def test_success_adds_one_and_failure_halves() -> None:
    windows = windows_of(a=16)
    answer(windows, "a", healthy=True, count=4)
    assert windows.of("a").size == 20
    answer(windows, "a", healthy=False)
    assert windows.of("a").size == 10
    answer(windows, "a", healthy=True)
    assert windows.of("a").size == 11


def test_a_healthy_endpoint_grows_to_the_largest_window_and_no_further() -> None:
    windows = Concurrency(400)
    answer(windows, "a", healthy=True, count=LARGEST - START)
    assert windows.of("a").size == LARGEST
    answer(windows, "a", healthy=True, count=10)
    assert windows.of("a").size == LARGEST


def test_a_dead_endpoint_comes_down_to_one_request_at_a_time() -> None:
    windows = windows_of(a=LARGEST)
    answer(windows, "a", healthy=False, count=8)
    assert windows.of("a").size == SMALLEST
    answer(windows, "a", healthy=False, count=100)
    assert windows.of("a").room == 1
    send(windows, "a")
    assert windows.rooms(["a"], 400) == {}


def test_an_endpoint_that_recovers_grows_again() -> None:
    windows = windows_of(a=SMALLEST)
    answer(windows, "a", healthy=True, count=3)
    assert windows.of("a").room == SMALLEST + 3


def test_a_window_that_shrank_below_its_flights_has_no_room_rather_than_less() -> None:
    assert EndpointConcurrency(size=1, in_flight=200).room == 0


def test_windows_do_not_affect_each_other() -> None:
    windows = Concurrency(400)
    answer(windows, "dead", healthy=False, count=10)
    assert windows.of("well").room == START


# Shares


@pytest.mark.parametrize("seed", range(20))
def test_shares_exceed_neither_the_free_slots_nor_a_window(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(50):
        windows = Concurrency(400)
        names = [f"ep_{number}" for number in range(dice.choice((0, 1, 2, 3, 7, 50, 500)))]
        for name in names:
            windows.of(name).size = dice.uniform(SMALLEST, LARGEST)
            windows.of(name).in_flight = dice.randrange(LARGEST)
        free = dice.choice((0, 1, 2, 3, 10, 63, 64, 400, 2000))
        rooms = windows.rooms(names, free)
        assert sum(rooms.values()) <= free
        assert all(0 < room <= windows.of(name).room for name, room in rooms.items())


@pytest.mark.parametrize("free", [0, -1])
def test_without_a_free_slot_nothing_is_claimed(free: int) -> None:
    assert Concurrency(400).rooms(["a", "b"], free) == {}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 100, 255, 256])
@pytest.mark.parametrize("free", [1, 2, 7, 64, 400])
def test_a_share_is_a_power_of_two_and_at_least_half_of_what_there_is(size: int, free: int) -> None:
    [room] = windows_of(a=size).rooms(["a"], free).values()
    assert room & (room - 1) == 0
    assert min(size, free) / 2 < room <= min(size, free)


def test_endpoints_that_want_alike_get_alike() -> None:
    rooms = windows_of(a=256, b=256, c=256, d=256).rooms(list("abcd"), 64)
    assert rooms == {"a": 16, "b": 16, "c": 16, "d": 16}


def test_what_one_endpoint_does_not_want_goes_to_the_others() -> None:
    rooms = windows_of(small=1, large=256).rooms(["small", "large"], 130)
    assert rooms == {"small": 1, "large": 128}


def test_an_endpoint_with_a_full_window_takes_no_share() -> None:
    windows = windows_of(full=8, open=256)
    send(windows, "full", 8)
    assert windows.rooms(["full", "open"], 256) == {"open": 256}


def test_every_endpoint_gets_a_slot_when_there_are_enough() -> None:
    names = [f"ep_{number:03}" for number in range(300)]
    assert set(Concurrency(600).rooms(names, 300)) == set(names)


def test_dead_endpoints_leave_nearly_all_slots_to_the_others() -> None:
    windows = windows_of(well=256)
    dead = [f"dead_{number}" for number in range(50)]
    for name in dead:
        answer(windows, name, healthy=False, count=10)
    rooms = windows.rooms([*dead, "well"], 400)
    assert rooms["well"] == 256
    assert sum(rooms.values()) == 256 + 50


@pytest.mark.parametrize(("endpoints", "capacity"), [(3, 400), (20, 10)], ids=["few-large", "many-small"])
def test_no_endpoint_waits_for_the_backlog_of_others(endpoints: int, capacity: int) -> None:
    """Endless backlogs everywhere, answers in random order, each slot claimed again at once."""
    names = [f"ep_{number:02}" for number in range(endpoints)]
    windows = windows_of(**dict.fromkeys(names, LARGEST))
    dice = random.Random(1)
    served = dict.fromkeys(names, 0)
    # The last endpoint's backlog begins when the others hold all the slots.
    flying: list[str] = []
    for turn in range(5_000):
        due = names if turn > capacity else names[:-1]
        for name, room in windows.rooms(due, capacity - len(flying)).items():
            send(windows, name, room)
            flying += [name] * room
            served[name] += room
        name = flying.pop(dice.randrange(len(flying)))
        windows.answered(name, healthy=True)
    assert min(served.values()) > 5_000 / endpoints / 4


def test_hanging_endpoints_leave_half_of_the_slots_to_the_proven() -> None:
    hanging = [f"hanging_{number}" for number in range(300)]
    windows = windows_of(well=256)
    for name in hanging:
        answer(windows, name, healthy=False)
    first = windows.rooms(hanging, 400)
    assert sum(first.values()) == 200
    for name, room in first.items():
        send(windows, name, room)
    assert windows.rooms(hanging, 200) == {}
    assert windows.rooms([*hanging, "well"], 200) == {"well": 128}


def test_an_endpoint_that_recovers_gives_its_slots_back_to_the_unproven() -> None:
    windows = Concurrency(10)
    send(windows, "a", 4)
    assert windows.rooms(["b"], 6) == {"b": 2}  # of the three quarters that new ones may have
    windows.answered("a", healthy=True)
    assert windows.rooms(["b"], 7) == {"b": 4}
    windows.answered("a", healthy=False, mute=True)
    windows.answered("a", healthy=False, mute=True)
    windows.of("b").standing = ObservedHealth.FAILING
    assert windows.rooms(["b"], 9) == {"b": 4}  # of the half that failing ones may have, less one


def test_a_new_endpoint_need_not_wait_until_hanging_ones_have_timed_out() -> None:
    hanging = [f"hanging_{number}" for number in range(300)]
    windows = Concurrency(400)
    for name in hanging:
        answer(windows, name, healthy=False)
    for name, room in windows.rooms(hanging, 400).items():
        send(windows, name, room)
    assert windows.rooms([*hanging, "new"], 200) == {"new": START}


# Forgetting


def test_idle_windows_are_forgotten_when_there_are_many_and_busy_ones_kept() -> None:
    windows = Concurrency(400)
    windows.sent("busy")
    windows.of("learned").size = 3
    windows.forget_idle()
    assert windows.of("learned").size == 3
    for number in range(10_001):
        windows.of(f"ep_{number}")
    windows.forget_idle()
    assert windows.of("busy").in_flight == 1
    assert windows.of("learned").size == START


def test_one_quick_error_does_not_put_an_endpoint_behind_all_mute_ones() -> None:
    windows = Concurrency(400)
    mute = [f"m{number}" for number in range(1000)]
    for name in mute:
        answer(windows, name, healthy=False)
    answer(windows, "quick", healthy=True)
    windows.sent("quick")
    windows.answered("quick", healthy=False)  # a 500, and no time-out

    for name, room in windows.rooms(mute, 400).items():
        send(windows, name, room)

    assert "quick" in windows.rooms([*mute, "quick"], 200)


def test_a_single_slot_serves_everybody_in_turn() -> None:
    windows = Concurrency(1)
    assert windows.rooms(["a"], 1) == {"a": 1}
    answer(windows, "a", healthy=False)
    assert windows.rooms(["a"], 1) == {"a": 1}
