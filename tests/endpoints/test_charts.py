"""Percentiles out of histograms, bins and paths: arithmetic only."""

from datetime import UTC, datetime, timedelta

import pytest

from webhooks_app.endpoints import charts
from webhooks_app.endpoints.charts import PERIODS, HourlyCount

NOW = datetime(2025, 11, 23, 21, 40, tzinfo=UTC)
HOUR = NOW.replace(minute=0)


def test_no_attempts_have_no_percentile() -> None:
    assert charts.percentile({}, 0.5) is None
    assert charts.percentile({4: 0}, 0.5) is None


@pytest.mark.parametrize(
    ("latencies", "share", "milliseconds"),
    [
        ({0: 10}, 0.5, 0.5),  # bucket 0 is [0, 1)
        ({1: 10}, 0.5, 1.5),  # bucket 1 is [1, 2)
        ({8: 100}, 0.5, 192),  # the middle of [128, 256)
        ({8: 100}, 0.95, 128 + 128 * 0.95),
        ({8: 50, 10: 50}, 0.5, 256),  # the last of the lower half ends its bucket
        ({8: 50, 10: 50}, 0.75, 768),  # half-way through [512, 1024)
        ({3: 1, 12: 0, 9: 1}, 1.0, 512),
    ],
)
def test_percentiles_lie_on_the_line_through_their_bucket(
    latencies: dict[int, int], share: float, milliseconds: float
) -> None:
    assert charts.percentile(latencies, share) == pytest.approx(milliseconds)


def test_nothing_takes_longer_than_the_time_out() -> None:
    # Timed out at 5 s, which is in [4096, 8192).
    assert charts.percentile({13: 10}, 1.0, ceiling_ms=5000) == 5000
    # A time-out lowered since then must not bend what was measured before.
    assert charts.percentile({13: 10}, 1.0, ceiling_ms=1000) == 8192


def test_a_larger_share_never_takes_less_time() -> None:
    latencies = {0: 3, 4: 7, 5: 1, 9: 40, 13: 2}
    found = [charts.percentile(latencies, share / 100) or 0 for share in range(1, 101)]
    assert found == sorted(found)


@pytest.mark.parametrize("key", [key for key, period in PERIODS.items() if period.is_by_hours])
def test_bins_cover_the_period_up_to_the_hour_that_runs(key: str) -> None:
    period = PERIODS[key]
    first = HOUR + timedelta(hours=1) - period.bins * period.step
    sums = [
        HourlyCount(HOUR, "success", 5, 2),
        HourlyCount(first, "timeout", 13, 3),
        HourlyCount(first, "dns", 2, 1),
    ]
    sums += [
        HourlyCount(first - timedelta(hours=1), "success", 5, 99),
        HourlyCount(HOUR + timedelta(hours=1), "success", 5, 99),
    ]

    bins = charts.bins(sums, period, NOW)

    assert len(bins) == period.bins
    assert (bins[-1].succeeded, bins[-1].failed) == (2, 0)
    assert (bins[0].succeeded, bins[0].failed) == (0, 4)
    assert dict(bins[0].latencies) == {13: 3}  # a failed look-up is no response time
    whole = charts.total(bins)
    assert (whole.succeeded, whole.failed, dict(whole.latencies)) == (2, 4, {5: 2, 13: 3})


def test_an_hour_has_bins_of_five_minutes_up_to_the_one_that_runs() -> None:
    assert PERIODS["1h"].since(NOW.replace(minute=44, second=59)) == HOUR - timedelta(minutes=15)


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 2), (1, 2), (3, 4), (11, 12), (101, 120), (120, 120), (1801, 2000), (99_999, 100_000)],
)
def test_scales_of_counts_have_a_whole_half(value: int, top: int) -> None:
    assert charts.round_up_to_even_scale(value) == top


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (3, 5), (5, 5), (51, 100), (4910, 5000), (5001, 10000)]
)
def test_scales_end_at_round_figures(value: float, top: float) -> None:
    assert charts.round_up_to_scale(value) == top


def test_bars_stack_failures_at_the_foot_and_mark_empty_hours() -> None:
    paths = charts.bars([(0, 0), (3, 1)], width=20, height=8, gap=2)

    assert paths.none == "M0 7h8v1h-8z"
    assert paths.failed == "M10 6h8v2h-8z"
    assert paths.succeeded == "M10 0h8v6h-8z"


def test_one_failure_among_thousands_is_visible() -> None:
    paths = charts.bars([(100_000, 1)], width=8, height=28, gap=2)
    assert paths.failed.endswith("v2h-6z")


def test_a_line_breaks_where_nothing_was_measured() -> None:
    path = charts.line([10, None, 5, 10], top=10, width=40, height=10)
    assert path == "M2 0h6M25 5L35 0"


@pytest.mark.parametrize("period", PERIODS.values(), ids=lambda period: period.key)
def test_the_times_of_an_axis_stand_at_even_distances(period: charts.Period) -> None:
    assert period.bins % period.parts == 0
