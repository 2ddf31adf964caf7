import random

import pytest

from webhooks_app.worker.concurrency import Concurrency, EndpointConcurrency, ObservedHealth
from webhooks_app.worker.engine_limits import ConcurrencyLimits

LIMITS = ConcurrencyLimits()
SMALLEST, INITIAL, LARGEST = LIMITS.smallest, LIMITS.initial, LIMITS.largest


def new(capacity: int = 400) -> Concurrency:
    return Concurrency(capacity, LIMITS)


def with_limits(**limits: float) -> Concurrency:
    concurrency = new()
    for endpoint_id, limit in limits.items():
        concurrency.of(endpoint_id).limit = limit
        concurrency.of(endpoint_id).health = ObservedHealth.RESPONDING
    return concurrency


def send(concurrency: Concurrency, endpoint_id: str, count: int = 1) -> None:
    for _ in range(count):
        concurrency.start_request(endpoint_id)


def answer(concurrency: Concurrency, endpoint_id: str, *, healthy: bool, count: int = 1) -> None:
    for _ in range(count):
        concurrency.start_request(endpoint_id)
        concurrency.end_request(endpoint_id, is_overloaded=not healthy, is_unresponsive=not healthy)


# One endpoint


def test_an_endpoint_starts_with_a_moderate_limit() -> None:
    assert new().of("a").available == INITIAL
    assert SMALLEST < INITIAL < LARGEST


def test_a_request_in_flight_takes_a_slot_until_it_ends() -> None:
    concurrency = with_limits(a=4)
    send(concurrency, "a", 3)
    assert concurrency.of("a").available == 1
    concurrency.end_request("a")
    assert concurrency.of("a").in_flight == 2
    assert concurrency.of("a").available == 3  # the slot that came back, and one that was earned


def test_success_adds_one_and_failure_halves() -> None:
    concurrency = with_limits(a=16)
    answer(concurrency, "a", healthy=True, count=4)
    assert concurrency.of("a").limit == 20
    answer(concurrency, "a", healthy=False)
    assert concurrency.of("a").limit == 10
    answer(concurrency, "a", healthy=True)
    assert concurrency.of("a").limit == 11


def test_a_healthy_endpoint_grows_to_the_largest_limit_and_no_further() -> None:
    concurrency = new()
    answer(concurrency, "a", healthy=True, count=LARGEST - INITIAL)
    assert concurrency.of("a").limit == LARGEST
    answer(concurrency, "a", healthy=True, count=10)
    assert concurrency.of("a").limit == LARGEST


def test_a_dead_endpoint_comes_down_to_one_request_at_a_time() -> None:
    concurrency = with_limits(a=LARGEST)
    answer(concurrency, "a", healthy=False, count=8)
    assert concurrency.of("a").limit == SMALLEST
    answer(concurrency, "a", healthy=False, count=100)
    assert concurrency.of("a").available == 1
    send(concurrency, "a")
    assert concurrency.quotas(["a"], 400) == {}


def test_an_endpoint_that_recovers_grows_again() -> None:
    concurrency = with_limits(a=SMALLEST)
    answer(concurrency, "a", healthy=True, count=3)
    assert concurrency.of("a").available == SMALLEST + 3


def test_a_limit_below_what_is_in_flight_leaves_nothing_rather_than_less() -> None:
    assert EndpointConcurrency(limit=1, in_flight=200).available == 0


def test_endpoints_do_not_affect_each_other() -> None:
    concurrency = new()
    answer(concurrency, "dead", healthy=False, count=10)
    assert concurrency.of("well").available == INITIAL


# Shares


@pytest.mark.parametrize("seed", range(20))
def test_quotas_exceed_neither_the_free_slots_nor_a_limit(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(50):
        concurrency = new()
        names = [f"ep_{number}" for number in range(dice.choice((0, 1, 2, 3, 7, 50, 500)))]
        for name in names:
            concurrency.of(name).limit = dice.uniform(SMALLEST, LARGEST)
            concurrency.of(name).in_flight = dice.randrange(LARGEST)
        free = dice.choice((0, 1, 2, 3, 10, 63, 64, 400, 2000))
        quotas = concurrency.quotas(names, free)
        assert sum(quotas.values()) <= free
        assert all(0 < quota <= concurrency.of(name).available for name, quota in quotas.items())


@pytest.mark.parametrize("free", [0, -1])
def test_without_a_free_slot_nothing_is_claimed(free: int) -> None:
    assert new().quotas(["a", "b"], free) == {}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 100, 255, 256])
@pytest.mark.parametrize("free", [1, 2, 7, 64, 400])
def test_a_share_is_a_power_of_two_and_at_least_half_of_what_there_is(size: int, free: int) -> None:
    [quota] = with_limits(a=size).quotas(["a"], free).values()
    assert quota & (quota - 1) == 0
    assert min(size, free) / 2 < quota <= min(size, free)


def test_endpoints_that_want_alike_get_alike() -> None:
    quotas = with_limits(a=256, b=256, c=256, d=256).quotas(list("abcd"), 64)
    assert quotas == {"a": 16, "b": 16, "c": 16, "d": 16}


def test_what_one_endpoint_does_not_want_goes_to_the_others() -> None:
    quotas = with_limits(small=1, large=256).quotas(["small", "large"], 130)
    assert quotas == {"small": 1, "large": 128}


def test_what_goes_round_is_counted_once() -> None:
    quotas = with_limits(a=1, b=1, c=8, d=256).quotas(list("abcd"), 26)
    assert quotas == {"a": 1, "b": 1, "c": 8, "d": 16}


def test_an_endpoint_at_its_limit_takes_no_share() -> None:
    concurrency = with_limits(full=8, open=256)
    send(concurrency, "full", 8)
    assert concurrency.quotas(["full", "open"], 256) == {"open": 256}


def test_every_endpoint_gets_a_slot_when_there_are_enough() -> None:
    names = [f"ep_{number:03}" for number in range(300)]
    assert set(new(600).quotas(names, 300)) == set(names)


def test_dead_endpoints_leave_nearly_all_slots_to_the_others() -> None:
    concurrency = with_limits(well=256)
    dead = [f"dead_{number}" for number in range(50)]
    for name in dead:
        answer(concurrency, name, healthy=False, count=10)
    quotas = concurrency.quotas([*dead, "well"], 400)
    assert quotas["well"] == 256
    assert sum(quotas.values()) == 256 + 50


@pytest.mark.parametrize(("endpoints", "capacity"), [(3, 400), (20, 10)], ids=["few-large", "many-small"])
def test_no_endpoint_waits_for_the_backlog_of_others(endpoints: int, capacity: int) -> None:
    """Endless backlogs everywhere, answers in random order, each slot claimed again at once."""
    names = [f"ep_{number:02}" for number in range(endpoints)]
    concurrency = with_limits(**dict.fromkeys(names, LARGEST))
    dice = random.Random(1)
    served = dict.fromkeys(names, 0)
    # The last endpoint's backlog begins when the others hold all the slots.
    in_flight: list[str] = []
    for turn in range(5_000):
        due = names if turn > capacity else names[:-1]
        for name, quota in concurrency.quotas(due, capacity - len(in_flight)).items():
            send(concurrency, name, quota)
            in_flight += [name] * quota
            served[name] += quota
        name = in_flight.pop(dice.randrange(len(in_flight)))
        concurrency.end_request(name)
    assert min(served.values()) > 5_000 / endpoints / 4


def test_hanging_endpoints_leave_half_of_the_slots_to_those_that_respond() -> None:
    hanging = [f"hanging_{number}" for number in range(300)]
    concurrency = with_limits(well=256)
    for name in hanging:
        answer(concurrency, name, healthy=False)
    first = concurrency.quotas(hanging, 400)
    assert sum(first.values()) == 200
    for name, quota in first.items():
        send(concurrency, name, quota)
    assert concurrency.quotas(hanging, 200) == {}
    assert concurrency.quotas([*hanging, "well"], 200) == {"well": 128}


def test_an_endpoint_that_recovers_gives_its_slots_back_to_the_unproven() -> None:
    concurrency = new(10)
    send(concurrency, "a", 4)
    assert concurrency.quotas(["b"], 6) == {"b": 2}  # of the three quarters that new ones may have
    concurrency.end_request("a")
    assert concurrency.quotas(["b"], 7) == {"b": 4}
    concurrency.end_request("a", is_overloaded=True, is_unresponsive=True)
    concurrency.end_request("a", is_overloaded=True, is_unresponsive=True)
    concurrency.of("b").health = ObservedHealth.UNRESPONSIVE
    assert concurrency.quotas(["b"], 9) == {"b": 4}  # of the half that failing ones may have, less one


def test_a_new_endpoint_need_not_wait_until_hanging_ones_have_timed_out() -> None:
    hanging = [f"hanging_{number}" for number in range(300)]
    concurrency = new()
    for name in hanging:
        answer(concurrency, name, healthy=False)
    for name, quota in concurrency.quotas(hanging, 400).items():
        send(concurrency, name, quota)
    assert concurrency.quotas([*hanging, "new"], 200) == {"new": INITIAL}


# Forgetting


def test_idle_endpoints_are_forgotten_when_there_are_many_and_busy_ones_kept() -> None:
    concurrency = new()
    concurrency.start_request("busy")
    concurrency.of("learned").limit = 3
    concurrency.forget_idle()
    assert concurrency.of("learned").limit == 3
    for number in range(10_001):
        concurrency.of(f"ep_{number}")
    concurrency.forget_idle()
    assert concurrency.of("busy").in_flight == 1
    assert concurrency.of("learned").limit == INITIAL


def test_the_busiest_are_named_down_to_one_request() -> None:
    concurrency = Concurrency(100, ConcurrencyLimits(initial=8))
    for name in ("a", "b", "b", "c"):
        concurrency.start_request(name)
    concurrency.end_request("c")
    assert concurrency.busiest(5) == [("b", 2, 8), ("a", 1, 8)]
    assert concurrency.busiest(1) == [("b", 2, 8)]


def test_one_quick_error_does_not_put_an_endpoint_behind_all_mute_ones() -> None:
    concurrency = new()
    unresponsive = [f"m{number}" for number in range(1000)]
    for name in unresponsive:
        answer(concurrency, name, healthy=False)
    answer(concurrency, "quick", healthy=True)
    concurrency.start_request("quick")
    concurrency.end_request("quick", is_overloaded=True)  # a 500, and no time-out

    for name, quota in concurrency.quotas(unresponsive, 400).items():
        send(concurrency, name, quota)

    assert "quick" in concurrency.quotas([*unresponsive, "quick"], 200)


def test_a_single_slot_serves_everybody_in_turn() -> None:
    concurrency = new(1)
    assert concurrency.quotas(["a"], 1) == {"a": 1}
    answer(concurrency, "a", healthy=False)
    assert concurrency.quotas(["a"], 1) == {"a": 1}


def test_endpoints_can_take_what_their_limits_leave_and_no_more() -> None:
    concurrency = with_limits(a=3, b=2)
    send(concurrency, "a")
    assert concurrency.can_take(["a", "b"], 4)
    assert not concurrency.can_take(["a", "b"], 5)
    assert not concurrency.can_take([], 1)


@pytest.mark.parametrize(("capacity", "is_unresponsive"), [(2, False), (3, True)])
def test_of_a_few_slots_one_goes_to_endpoints_that_may_not_respond(
    capacity: int, is_unresponsive: bool
) -> None:
    concurrency = new(capacity)
    if is_unresponsive:
        for name in ("a", "b"):
            answer(concurrency, name, healthy=False)
    assert concurrency.quotas(["a", "b"], capacity) == {"a": 1}
