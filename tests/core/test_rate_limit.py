"""A rate limit: what a burst is by default, and how long one waits."""

import pytest

from webhooks_app.core.rate_limit import LARGEST_BURST, RateLimit


def test_without_a_rate_there_is_no_limit_and_without_a_burst_that_of_ten_seconds() -> None:
    assert RateLimit.of(None, 5) is None
    assert RateLimit.of(20, None) == RateLimit(20, 200)
    assert RateLimit.of(20, 5) == RateLimit(20, 5)
    assert RateLimit.of(LARGEST_BURST, None) == RateLimit(LARGEST_BURST, LARGEST_BURST)


@pytest.mark.parametrize(("rate", "burst", "seconds"), [(20, 200, 10), (20, 5, 1), (3, 10, 4), (1, 1, 1)])
def test_the_window_is_how_long_an_empty_bucket_takes_to_fill(rate: int, burst: int, seconds: int) -> None:
    assert RateLimit(rate, burst).window_seconds == seconds


@pytest.mark.parametrize(("count", "left", "seconds"), [(1, 0, 1), (21, 0.5, 3), (20, 20.0, 0), (1, 5, 0)])
def test_waits_are_whole_seconds_and_never_too_short(count: int, left: float, seconds: int) -> None:
    assert RateLimit(10, 100).seconds_until(count, left) == seconds


def test_a_limit_is_told_with_its_burst() -> None:
    assert str(RateLimit(1000, 20_000)) == "1,000 events a second, 20,000 at once"
