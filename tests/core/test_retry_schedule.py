from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from webhooks_app.core.retry_schedule import (
    DEFAULT_DELAYS,
    JITTER,
    LONGEST_RETRY_AFTER,
    parse_retry_after,
    scheduled_delay,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = timedelta(days=1)
ALMOST_ONE = 1 - 2**-53


def test_the_schedule_is_ten_attempts_over_about_75_hours() -> None:
    assert len(DEFAULT_DELAYS) + 1 == 10
    assert timedelta(hours=75) <= timedelta(seconds=sum(DEFAULT_DELAYS)) < timedelta(hours=76)
    assert list(DEFAULT_DELAYS) == sorted(DEFAULT_DELAYS)


def test_the_schedule_is_the_published_one() -> None:
    minutes, hours = 60, 3600
    early = (5, 5 * minutes, 30 * minutes)
    late = tuple(count * hours for count in (2, 5, 10, 14, 20, 24))
    assert early + late == DEFAULT_DELAYS


@pytest.mark.parametrize("count", range(1, len(DEFAULT_DELAYS) + 1))
def test_each_failure_waits_for_its_own_delay(count: int) -> None:
    planned = timedelta(seconds=DEFAULT_DELAYS[count - 1])
    assert scheduled_delay(DEFAULT_DELAYS, attempts_in_schedule=count, chance=0) == planned
    assert scheduled_delay(DEFAULT_DELAYS, attempts_in_schedule=count, chance=0.5) == planned * (
        1 + JITTER / 2
    )


@pytest.mark.parametrize("delay", DEFAULT_DELAYS)
def test_jitter_adds_up_to_a_tenth_and_never_shortens_the_wait(delay: float) -> None:
    waits = [
        scheduled_delay((delay,), attempts_in_schedule=1, chance=chance)
        for chance in (0, 0.25, 0.5, 0.75, ALMOST_ONE)
    ]
    assert waits == sorted(waits, key=lambda wait: wait or timedelta(0))
    assert len(set(waits)) == len(waits)
    assert waits[0] == timedelta(seconds=delay)
    assert waits[-1] is not None and waits[-1] <= timedelta(seconds=delay) * 1.1


@pytest.mark.parametrize("retry_after", [None, timedelta(hours=1)])
@pytest.mark.parametrize("count", [10, 11, 1000])
def test_an_exhausted_schedule_gives_no_delay(count: int, retry_after: timedelta | None) -> None:
    assert (
        scheduled_delay(DEFAULT_DELAYS, attempts_in_schedule=count, chance=0.5, retry_after=retry_after)
        is None
    )


@pytest.mark.parametrize(
    ("asked", "expected"), [(0, 300), (299, 300), (301, 301), (3_600, 3_600), (86_400, 86_400)]
)
def test_a_retry_after_postpones_and_never_shortens_the_wait(asked: int, expected: int) -> None:
    delay = scheduled_delay(
        DEFAULT_DELAYS, attempts_in_schedule=2, chance=0, retry_after=timedelta(seconds=asked)
    )
    assert delay == timedelta(seconds=expected)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        ("120", 120),
        (" 120 ", 120),
        ("007", 7),
        ("0" * 20 + "7", 7),
        ("86399", 86_399),
        ("86400", 86_400),
    ],
)
def test_seconds_are_understood(value: str, seconds: int) -> None:
    assert parse_retry_after(value, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["86401", "999999999", "9999999999", "1" + "0" * 30, "9" * 10_000, "Fri, 31 Dec 9999 23:59:59 GMT"],
)
def test_a_huge_wait_is_clamped_to_a_day(value: str) -> None:
    assert parse_retry_after(value, now=NOW) == LONGEST_RETRY_AFTER == DAY


@pytest.mark.parametrize(
    "value",
    [
        "Wed, 04 Mar 2026 05:08:07 GMT",
        "Wednesday, 04-Mar-26 05:08:07 GMT",
        "Wed Mar  4 05:08:07 2026",  # these two are obsolete, and RFC 9110, section 5.6.7 has them read
        "Wed, 04 Mar 2026 05:08:07",
        "Wed, 04 Mar 2026 05:08:07 -0000",
        "Wed, 04 Mar 2026 06:08:07 +0100",
        format_datetime((NOW + timedelta(minutes=2)).astimezone(timezone(timedelta(hours=-8)))),
    ],
)
def test_a_date_is_understood_and_without_a_zone_is_utc(value: str) -> None:
    assert parse_retry_after(value, now=NOW) == timedelta(minutes=2)


def test_a_date_counts_from_the_callers_clock_in_any_zone() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=9)))
    for value in ("Wed, 04 Mar 2026 05:08:07 GMT", "Wed, 04 Mar 2026 05:08:07"):
        assert parse_retry_after(value, now=local) == timedelta(minutes=2)


@pytest.mark.parametrize(
    "value",
    ["Wed, 04 Mar 2026 05:06:06 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"],
)
def test_a_date_in_the_past_asks_for_no_wait(value: str) -> None:
    assert parse_retry_after(value, now=NOW) == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "soon", "-1", "-5", "+5", "1.5", "1e3", "0x10", "5 minutes", "1,2", "٣", "²", "\0", "nan"),
        *("Wed", "Wed,", "a, b c d e f g", "Wed, 32 Mar 2026 05:08:07 GMT", "x" * 10_000),
        *(
            "Wed, 04 Foo 2026 05:08:07 GMT",
            "Wed, 04 Mar 2026 25:08:07 GMT",
            "Wed, 21 Oct 2015 07:28:00 +2400",
        ),
    ],
)
def test_garbage_is_ignored(value: str) -> None:
    assert parse_retry_after(value, now=NOW) is None


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
    ],
)
def test_a_date_of_numbers_beyond_all_bounds_is_ignored(value: str) -> None:
    assert parse_retry_after(value, now=NOW) is None


def test_leading_zeros_do_not_change_the_seconds() -> None:
    assert parse_retry_after("000000000120", now=NOW) == timedelta(seconds=120)
