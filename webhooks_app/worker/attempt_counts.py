"""What a batch of recorded attempts adds to the process's counters. Pure."""

from collections import Counter

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.models.delivery_tables import DeliveryState
from webhooks_app.monitoring.counters import Key, durations
from webhooks_app.worker.claimed_delivery import ClaimedDelivery

# Of a public id: its prefix, then 48 bits of milliseconds and 80 random ones, five to a character.
_TIME = slice(4, 14)
_RANDOM_BITS = 2
_SUCCESS, _DELIVERED = OutcomeClass.SUCCESS, DeliveryState.DELIVERED


def count(recorded: list[ClaimedDelivery]) -> Counter[Key]:
    """Return how many attempts had which outcome, what became of their deliveries, and how long all took.

    An attempt that a stale claim made is counted like the others: it was one.
    """
    counts = durations("attempt_duration", [each.outcome.timings.total_us for each in recorded])
    others = [each for each in recorded if each.outcome.kind is not _SUCCESS]
    # Almost all of them, and an Enum's hash is slow.
    counts["attempts", _SUCCESS.value] = counts["delivery_results", _DELIVERED.value] = len(recorded) - len(
        others
    )
    for each in others:
        counts["attempts", each.outcome.kind.value] += 1
        counts["delivery_results", each.decision.state.value] += 1
    counts.update(durations("first_attempt_delay", _delays_us(recorded)))
    return counts


def _delays_us(recorded: list[ClaimedDelivery]) -> list[int]:
    """Return the microseconds from accept to first attempt; 0 where the hosts' clocks make it negative."""
    delays: list[int] = []
    started_at, started_ms = None, 0
    for each in recorded:
        if each.generation != 1:
            continue
        if each.started_at is not started_at:  # what is started together shares it
            started_at = each.started_at
            started_ms = int(started_at.timestamp() * 1000)
        # Not `ids.created_at`, which takes five times as long.
        delay_ms = started_ms - (int(each.delivery_id[_TIME], 32) >> _RANDOM_BITS)
        delays.append(delay_ms * 1000 if delay_ms > 0 else 0)
    return delays
