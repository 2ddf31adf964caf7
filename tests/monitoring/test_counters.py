"""What is counted adds up, whoever counts."""

import threading

import pytest

from webhooks_app.core.outcomes import latency_bucket
from webhooks_app.monitoring import counters
from webhooks_app.monitoring.counters import LARGEST_BUCKET, ProcessCounters


def test_threads_that_count_at_once_lose_nothing() -> None:
    counting = ProcessCounters()

    def count_on() -> None:
        for _ in range(2000):
            counting.count("unavailable", "locked")

    threads = [threading.Thread(target=count_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counting.snapshot() == {"unavailable\tlocked": 8000}


def test_a_key_comes_back_as_it_went_in() -> None:
    counting = ProcessCounters()
    counting.count("events", "batch-lifecycle", "accepted")
    [text] = counting.snapshot()

    assert counters.split_key(text) == ("events", "batch-lifecycle", "accepted")


def test_the_sums_of_several_processes_hold_what_only_one_has() -> None:
    assert counters.total([{"a": 1, "b": 2}, {}, {"b": 3}]) == {"a": 1, "b": 5}


@pytest.mark.parametrize("duration_us", [0, 999, 1000, 1999, 2000, 5_000_000, 10**15])
def test_a_duration_counts_in_the_bucket_that_charts_use(duration_us: int) -> None:
    bucket = str(min(latency_bucket(duration_us), LARGEST_BUCKET))

    counted = counters.durations("x", [duration_us, duration_us])

    assert counted == {("x_sum_us",): 2 * duration_us, ("x", bucket): 2}


def test_no_durations_leave_no_bucket() -> None:
    assert counters.durations("x", []) == {("x_sum_us",): 0}
