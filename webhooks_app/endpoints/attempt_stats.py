"""Read the hourly counts of attempts, for the list of endpoints and for an endpoint's charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db import time_bins
from webhooks_app.db.models import AttemptRollup, Endpoint, Facet
from webhooks_app.endpoints import charts, traffic
from webhooks_app.endpoints.charts import Bin, HourlyCount, Period
from webhooks_app.endpoints.traffic import FailureCount, Traffic

DAY = charts.PERIODS["24h"]
CHART_WIDTH, CHART_HEIGHT = 480, 120


@dataclass(slots=True, frozen=True)
class AttemptStats:
    period: Period
    bins: list[Bin]
    total: Bin
    traffic: Traffic
    reasons: list[FailureCount]
    ceiling_ms: int

    @property
    def version(self) -> str:
        """Differs whenever the charts look different."""
        return f"{self.total.succeeded}-{self.total.failed}-{self.bins[0].starts_at:%d%H%M}"

    def latency(self, share: float) -> float | None:
        return charts.percentile(self.total.latencies, share, ceiling_ms=self.ceiling_ms)

    def latencies(self, share: float) -> list[float | None]:
        return [charts.percentile(part.latencies, share, ceiling_ms=self.ceiling_ms) for part in self.bins]

    @property
    def top_ms(self) -> float:
        return charts.round_up_to_scale(max(filter(None, self.latencies(0.95)), default=1))

    @property
    def table(self) -> list[tuple[Bin, float | None, float | None]]:
        """Each bin with its median and 95th percentile."""
        return list(zip(self.bins, self.latencies(0.5), self.latencies(0.95), strict=True))

    def line(self, share: float) -> str:
        return charts.line(self.latencies(share), top=self.top_ms, width=CHART_WIDTH, height=CHART_HEIGHT)


def read_day(
    session: Session, endpoint_ids: Sequence[str], now: datetime
) -> dict[str, list[tuple[int, int]]]:
    """Return by endpoint (succeeded, failed) of each of the last 24 hours, oldest first, in one query."""
    since = DAY.since(now)
    succeeded = case((AttemptRollup.outcome == OutcomeClass.SUCCESS, AttemptRollup.count), else_=0)
    rows = session.execute(
        select(
            AttemptRollup.endpoint_id,
            AttemptRollup.hour_at,
            func.sum(succeeded),
            func.sum(AttemptRollup.count),
        )
        .where(AttemptRollup.endpoint_id.in_(endpoint_ids), AttemptRollup.hour_at >= since)
        .group_by(AttemptRollup.endpoint_id, AttemptRollup.hour_at)
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for endpoint_id, hour_at, good, count in rows:
        hours = found.setdefault(endpoint_id, [(0, 0)] * DAY.bins)
        position = (hour_at - since) // timedelta(hours=1)
        if position < DAY.bins:
            hours[position] = (int(good), int(count - good))
    return found


def read_stats(
    session: Session, endpoint: Endpoint, period: Period, by: Facet, now: datetime
) -> AttemptStats:
    """Return what the charts of one endpoint show, in three queries at most."""
    answers = traffic.read(session, endpoint.id, Facet.RESPONSE, period, now)
    shown = answers if by is Facet.RESPONSE else traffic.read(session, endpoint.id, by, period, now)
    bins = _hourly_bins(session, endpoint, period, now) if period.is_by_hours else _bins(answers)
    total, why = charts.total(bins), traffic.reasons(answers.counts)
    return AttemptStats(period, bins, total, shown, why, endpoint.timeout_ms)


def _hourly_bins(session: Session, endpoint: Endpoint, period: Period, now: datetime) -> list[Bin]:
    since = period.since(now)
    position = time_bins.bin_number(session, AttemptRollup.hour_at, since, period.step).label("position")
    kind = AttemptRollup.outcome, AttemptRollup.latency_bucket
    rows = session.execute(
        select(position, *kind, func.sum(AttemptRollup.count))
        .where(AttemptRollup.endpoint_id == endpoint.id, AttemptRollup.hour_at >= since)
        .group_by(position, *kind)
    )
    sums = [
        HourlyCount(since + period.step * int(at), outcome, bucket, int(count))
        for at, outcome, bucket, count in rows
    ]
    return charts.bins(sums, period, now)


def _bins(answers: Traffic) -> list[Bin]:
    """Return the bins without response times, which are counted by the hour only."""
    period = answers.period
    found = [Bin(answers.since + period.step * position) for position in range(period.bins)]
    for each in answers.counts:
        found[each.position].failed += each.failed
        found[each.position].succeeded += each.count - each.failed
    return found
