"""What one process has counted since its start; `metrics` says what there is to count."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

# The name of a metric, then the values of its labels.
Key = tuple[str, ...]

_SEPARATOR = "\t"
# Of buckets that stand for durations, as `core.outcomes.latency_bucket` has them; 2^31 ms are 24 days.
LARGEST_BUCKET = 31


class ProcessCounters:
    """One per process, shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Counter[Key] = Counter()

    def add(self, counts: Mapping[Key, int]) -> None:
        """Add what a batch has counted, as one step."""
        with self._lock:
            values = self._values
            for key, count in counts.items():
                values[key] += count

    def count(self, *key: str) -> None:
        """Count one of something that is rare."""
        self.add({key: 1})

    def snapshot(self) -> dict[str, int]:
        """Return all values, each under its key as one text."""
        with self._lock:
            values = dict(self._values)
        return {_SEPARATOR.join(key): value for key, value in values.items()}


def split_key(text: str) -> Key:
    """Return a key of `snapshot` as its parts. Pure."""
    return tuple(text.split(_SEPARATOR))


def durations(name: str, durations_us: Sequence[int]) -> Counter[Key]:
    """Return what a histogram counts of durations in microseconds: how many per bucket, and their sum.

    Bucket b is for [2^(b-1), 2^b) milliseconds, as in the rollups that charts are drawn from.
    """
    counts: Counter[Key] = Counter({(f"{name}_sum_us",): sum(durations_us)})
    for bucket, count in Counter([(each // 1000).bit_length() for each in durations_us]).items():
        counts[name, str(min(bucket, LARGEST_BUCKET))] += count
    return counts


def total(counters: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the sums of several processes' counters. Pure."""
    sums: dict[str, float] = {}
    for each in counters:
        for key, value in each.items():
            sums[key] = sums.get(key, 0) + value
    return sums
