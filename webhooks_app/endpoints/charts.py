"""Charts: hourly counts put into bins, percentiles, and the paths of the SVG. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from webhooks_app.core.outcomes import OutcomeClass

# Outcomes without a response say nothing about response times; a time-out says that it took that long.
_UNANSWERED = frozenset(
    {
        OutcomeClass.DNS,
        OutcomeClass.BLOCKED,
        OutcomeClass.CONNECT,
        OutcomeClass.TLS,
        OutcomeClass.SECRET,
        OutcomeClass.PLATFORM,
        OutcomeClass.PAYLOAD,
        OutcomeClass.CRASHED,
    }
)


_HOUR = timedelta(hours=1)
_EVEN_STEPS = (2, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100)


class HourlyCount(NamedTuple):
    """Attempts of one hour with one outcome in one latency bucket, as `AttemptRollup` counts them."""

    hour_at: datetime
    outcome: str
    latency_bucket: int
    attempts: int


@dataclass(slots=True, frozen=True)
class Period:
    """So many bins; the axis has a time at the start of each of `parts` equal parts of them."""

    key: str
    label: str
    bins: int
    step: timedelta
    parts: int

    @property
    def is_by_hours(self) -> bool:
        """Whether its bins are whole hours; response times are counted by the hour only."""
        return self.step >= _HOUR

    @property
    def unit(self) -> str:
        minutes = int(self.step.total_seconds()) // 60
        some = f"per {minutes // 60} h" if self.is_by_hours else f"per {minutes} min"
        return {60: "an hour", 24 * 60: "a day"}.get(minutes, some)

    def since(self, now: datetime) -> datetime:
        """Return where its first bin starts; the hour, or shorter bin, that is running is its end."""
        grain = min(self.step, _HOUR)
        current = now - (now - now.replace(minute=0, second=0, microsecond=0)) % grain
        return current.replace(second=0, microsecond=0) + grain - self.bins * self.step


PERIODS = {
    period.key: period
    for period in (
        Period("1h", "1 h", 12, timedelta(minutes=5), 4),
        Period("24h", "24 h", 24, _HOUR, 4),
        Period("7d", "7 d", 28, 6 * _HOUR, 7),
        Period("30d", "30 d", 30, 24 * _HOUR, 5),
    )
}


@dataclass(slots=True)
class Bin:
    starts_at: datetime
    succeeded: int = 0
    failed: int = 0
    latencies: Counter[int] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.succeeded + self.failed

    def add(self, item: HourlyCount) -> None:
        if item.outcome == OutcomeClass.SUCCESS:
            self.succeeded += item.attempts
        else:
            self.failed += item.attempts
        if item.outcome not in _UNANSWERED:
            self.latencies[item.latency_bucket] += item.attempts


def bins(sums: Iterable[HourlyCount], period: Period, now: datetime) -> list[Bin]:
    """Return one bin per step of the period, oldest first, empty ones included."""
    since, step = period.since(now), period.step
    found = [Bin(since + step * position) for position in range(period.bins)]
    for item in sums:
        position = (item.hour_at - since) // step
        if 0 <= position < period.bins:
            found[position].add(item)
    return found


def total(parts: Sequence[Bin]) -> Bin:
    """Add all bins up into one."""
    whole = Bin(parts[0].starts_at)
    for part in parts:
        whole.succeeded += part.succeeded
        whole.failed += part.failed
        whole.latencies += part.latencies
    return whole


def percentile(latencies: Mapping[int, int], share: float, *, ceiling_ms: float = math.inf) -> float | None:
    """Return the milliseconds within which `share` (0 to 1) of the attempts ended; None without attempts.

    `latencies` counts attempts by bucket: bucket b holds [2^(b-1), 2^b) ms, bucket 0 [0, 1) ms. The bucket
    with the attempt of rank `share * n` is found by adding up; inside it attempts are taken as evenly spread,
    so the answer is `low + (high - low) * (rank - attempts below) / attempts inside`. It is off by less than
    the bucket's width. `ceiling_ms`, the endpoint's time-out, bounds the bucket it falls into: nothing takes
    longer.
    """
    rank, below = share * sum(latencies.values()), 0
    for bucket, count in sorted(latencies.items()):
        if count and below + count >= rank:
            low, high = _bounds(bucket)
            high = ceiling_ms if low < ceiling_ms < high else high
            return low + (high - low) * (rank - below) / count
        below += count
    return None


def _bounds(bucket: int) -> tuple[float, float]:
    return (2.0 ** (bucket - 1), 2.0**bucket) if bucket else (0.0, 1.0)


def round_up_to_scale(value: float) -> float:
    """Return the next 1, 2 or 5 followed by zeros: where a scale may end."""
    power = 10.0 ** math.floor(math.log10(max(value, 1)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def round_up_to_even_scale(value: int) -> int:
    """Return where a scale of whole numbers may end that goes up to `value` and has a whole half."""
    power: int = 10 ** max(0, len(str(value)) - 2)
    return next(step * power for step in _EVEN_STEPS if step * power >= value)


class Bars(NamedTuple):
    """Paths of stacked bars, the failed at the foot: `none` marks bins without attempts."""

    succeeded: str
    failed: str
    none: str


def bars(pairs: Sequence[tuple[int, int]], *, width: int, height: int, gap: int) -> Bars:
    """Return the paths for pairs of (succeeded, failed); the tallest bar has the full height."""
    top = max((sum(pair) for pair in pairs), default=0) or 1
    step = width / len(pairs)
    paths: tuple[list[str], list[str], list[str]] = ([], [], [])
    for position, (good, bad) in enumerate(pairs):
        x = position * step
        # However small its share, a failure is to be seen.
        bad_height = max(bad / top * height, 2) if bad else 0
        good_height = min(good / top * height, height - bad_height)
        for path, y, tall in (
            (paths[0], height - bad_height - good_height, good_height),
            (paths[1], height - bad_height, bad_height),
            (paths[2], height - 1, 0 if good or bad else 1),
        ):
            if tall:
                path.append(f"M{x:.5g} {y:.4g}h{step - gap:.5g}v{tall:.4g}h-{step - gap:.5g}z")
    return Bars(*map("".join, paths))


def line(values: Sequence[float | None], *, top: float, width: int, height: int) -> str:
    """Return the path through the middles of the bins; it breaks where a bin has no value."""
    step, parts, pen = width / len(values), [], "M"
    for position, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = (position + 0.5) * step, height - min(value / top, 1) * height
        around = values[max(position - 1, 0) : position + 2]
        if around.count(None) == len(around) - 1:
            # Without neighbours: a dash around its middle, or there would be nothing to see.
            parts.append(f"M{x - step * 0.3:.5g} {y:.4g}h{step * 0.6:.4g}")
            continue
        parts.append(f"{pen}{x:.5g} {y:.4g}")
        pen = "L"
    return "".join(parts)
