"""Who may still wait for a database that is silent."""

import pytest

from webhooks_app.db.circuit_breaker import BreakerLimits, CircuitBreaker, NotWorthWaiting
from webhooks_app.db.database_limits import web_limits

LONG_SECONDS = 3600.0


def breaker(
    *,
    most_waiting: int = 100,
    pause: float = LONG_SECONDS,
    trial: float = LONG_SECONDS,
    excess_wait_seconds: float = 0.0,
) -> CircuitBreaker:
    return CircuitBreaker(
        BreakerLimits(
            most_waiting, pause_seconds=pause, trial_seconds=trial, excess_wait_seconds=excess_wait_seconds
        )
    )


def is_admitted(to: CircuitBreaker) -> bool:
    try:
        to.admit()
    except NotWorthWaiting:
        return False
    return True


def wait_once(on: CircuitBreaker, *, was_answered: bool = False, was_silent: bool = False) -> None:
    on.begin_wait()
    on.end_wait(was_answered=was_answered, was_silent=was_silent)


def test_after_silence_nobody_waits_for_a_while() -> None:
    tripped = breaker()
    wait_once(tripped, was_silent=True)

    assert not is_admitted(tripped)
    assert tripped.is_silent


def test_an_error_that_comes_at_once_is_no_silence() -> None:
    refused = breaker()
    wait_once(refused)

    assert is_admitted(refused)


def test_then_one_tries_for_all() -> None:
    tripped = breaker(pause=0.0)
    wait_once(tripped, was_silent=True)

    assert [is_admitted(tripped) for _ in range(3)] == [True, False, False]
    wait_once(tripped, was_answered=True)
    assert [is_admitted(tripped) for _ in range(3)] == [True, True, True]


def test_a_trial_that_fails_at_once_leaves_it_to_the_next() -> None:
    tripped = breaker(pause=0.0)
    wait_once(tripped, was_silent=True)
    assert is_admitted(tripped)
    wait_once(tripped)

    assert is_admitted(tripped)
    assert tripped.is_silent


def test_a_trial_that_never_ends_does_not_keep_others_from_trying() -> None:
    tripped = breaker(pause=0.0, trial=0.0)
    wait_once(tripped, was_silent=True)

    assert [is_admitted(tripped) for _ in range(2)] == [True, True]


def test_who_joins_a_crowd_waits_shortly_and_soon_nobody_does() -> None:
    crowded = breaker(most_waiting=2, excess_wait_seconds=LONG_SECONDS)
    for _ in range(2):
        assert crowded.admit() is None
        crowded.begin_wait()
    assert crowded.admit() == LONG_SECONDS

    silent = breaker(most_waiting=2)
    for _ in range(2):
        assert is_admitted(silent)
        silent.begin_wait()
    assert not is_admitted(silent)
    silent.end_wait(was_answered=True, was_silent=False)
    assert is_admitted(silent)


def test_one_that_waits_long_while_others_are_answered_is_no_silence() -> None:
    slow = breaker(excess_wait_seconds=LONG_SECONDS)
    slow.begin_wait()
    wait_once(slow, was_answered=True)
    slow.end_wait(was_answered=False, was_silent=True)

    assert is_admitted(slow)


@pytest.mark.parametrize(("threads", "most_waiting"), [(1, 1), (2, 1), (8, 6), (256, 192)])
def test_some_threads_of_the_web_never_wait_in_the_crowd(threads: int, most_waiting: int) -> None:
    assert web_limits(threads).most_waiting == most_waiting
