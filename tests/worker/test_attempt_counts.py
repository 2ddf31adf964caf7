"""What a batch of attempts adds to the figures that operators read."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.worker.attempted import DELIVERED, TIMED_OUT, attempted
from webhooks_app.core import ids
from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings
from webhooks_app.monitoring.counters import Key
from webhooks_app.worker import attempt_counts
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

ACCEPTED_AT = datetime(2026, 5, 4, 12, 0, 31, 204_000, tzinfo=UTC)


def of(counts: Counter[Key], *beginnings: str) -> dict[Key, int]:
    return {key: count for key, count in counts.items() if key[0].startswith(beginnings)}


def attempt(outcome: Outcome, *, generation: int = 1, after: timedelta = timedelta()) -> ClaimedDelivery:
    claimed = ClaimedDelivery(ids.floor("dlv", ACCEPTED_AT), "ep_1", "evt_1", generation, 0, 0)
    return attempted(claimed, outcome, at=ACCEPTED_AT + after)


def test_of_each_attempt_its_outcome_is_counted_and_what_became_of_its_delivery() -> None:
    gone = Outcome(OutcomeClass.HTTP_410, status=410)
    counts = attempt_counts.count(
        [attempt(each) for each in (DELIVERED, DELIVERED, TIMED_OUT, TIMED_OUT, gone)]
    )
    assert of(counts, "attempts", "delivery_results") == {
        ("attempts", "success"): 2,
        ("attempts", "timeout"): 2,
        ("attempts", "http_410"): 1,
        ("delivery_results", "delivered"): 2,
        ("delivery_results", "pending"): 2,
        ("delivery_results", "failed"): 1,
    }


def test_how_long_attempts_took_is_counted_in_powers_of_two() -> None:
    took = [Outcome(OutcomeClass.SUCCESS, timings=Timings(total_us=each)) for each in (900, 5_000, 6_000)]
    counts = attempt_counts.count([attempt(each) for each in took])
    assert of(counts, "attempt_duration") == {
        ("attempt_duration_sum_us",): 11_900,
        ("attempt_duration", "0"): 1,
        ("attempt_duration", "3"): 2,
    }


def test_the_wait_for_a_first_attempt_is_counted_from_the_acceptance() -> None:
    """And is none where the clocks of two hosts make it negative."""
    attempts = [
        attempt(DELIVERED, generation=generation, after=timedelta(milliseconds=after))
        for generation, after in ((1, 5), (2, 300), (1, 1), (1, -7))
    ]
    counts = attempt_counts.count(attempts)
    assert of(counts, "first_attempt") == {
        ("first_attempt_delay_sum_us",): 6_000,
        ("first_attempt_delay", "0"): 1,
        ("first_attempt_delay", "1"): 1,
        ("first_attempt_delay", "3"): 1,
    }
