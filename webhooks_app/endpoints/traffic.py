"""Read how attempts were answered and of which event types they were, for charts and tables of reasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webhooks_app.core.outcome_descriptions import DESCRIPTIONS, hint_for
from webhooks_app.core.outcomes import OutcomeClass, classify_status
from webhooks_app.db import time_bins
from webhooks_app.db.models import Facet, TrafficCount
from webhooks_app.endpoints.charts import Period


@dataclass(slots=True, frozen=True)
class BinCount:
    """Attempts of one bin with one name; `last_at` is the start of the last interval in it that has any."""

    position: int
    name: str
    count: int
    failed: int
    last_at: datetime


@dataclass(slots=True, frozen=True)
class Traffic:
    """Attempts of an endpoint or a workspace in the bins of a period, told apart by a facet."""

    facet: Facet
    period: Period
    since: datetime
    counts: list[BinCount]

    @property
    def total(self) -> int:
        return sum(each.count for each in self.counts)

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.counts)

    def sums(self) -> dict[str, tuple[int, int]]:
        """Return (attempts, failed) by name, the most frequent first."""
        found: dict[str, tuple[int, int]] = {}
        for each in self.counts:
            count, failed = found.get(each.name, (0, 0))
            found[each.name] = (count + each.count, failed + each.failed)
        return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))


@dataclass(slots=True, frozen=True)
class FailureCount:
    """Why attempts failed: by the status, else the outcome; `last_at` is the start of an interval."""

    name: str
    label: str
    hint: str
    count: int
    last_at: datetime


def read(session: Session, scope_id: str, facet: Facet, period: Period, now: datetime) -> Traffic:
    """Return the attempts of the endpoint or workspace, in one query."""
    since = period.since(now)
    position = time_bins.bin_number(session, TrafficCount.starts_at, since, period.step).label("position")
    rows = session.execute(
        select(
            position,
            TrafficCount.name,
            func.sum(TrafficCount.count),
            func.sum(TrafficCount.failed),
            func.max(TrafficCount.starts_at),
        )
        .where(
            TrafficCount.scope_id == scope_id, TrafficCount.facet == facet, TrafficCount.starts_at >= since
        )
        .group_by(position, TrafficCount.name)
    )
    # An interval recorded by a host whose clock is ahead may lie after the last bin.
    counts = [
        BinCount(min(int(at), period.bins - 1), name, int(count), int(failed), last_at)
        for at, name, count, failed, last_at in rows
    ]
    return Traffic(facet, period, since, counts)


def outcome_of(name: str) -> OutcomeClass:
    """Return the class of how an attempt ended, of its name in the sums: a status or an outcome. Pure."""
    return classify_status(int(name)) if name.isdigit() else OutcomeClass(name)


def label_of(name: str) -> str:
    """Return `404`, `Timed out`; `4xx` for what was counted before statuses were. Pure."""
    if name.isdigit():
        return name
    outcome = OutcomeClass(name)
    classes = {OutcomeClass.SUCCESS: "2xx", OutcomeClass.HTTP_410: "410", OutcomeClass.HTTP_429: "429"}
    is_status = outcome.value.startswith("http_")
    return classes.get(outcome) or (
        outcome.value.removeprefix("http_") if is_status else DESCRIPTIONS[outcome].label
    )


def reasons(counts: Iterable[BinCount]) -> list[FailureCount]:
    """Return why attempts failed, the most frequent first, of counts by response. Pure."""
    sums: dict[str, tuple[int, datetime]] = {}
    for each in counts:
        if each.failed:
            count, last_at = sums.get(each.name, (0, each.last_at))
            sums[each.name] = (count + each.failed, max(last_at, each.last_at))
    found = [_failure_count(name, *rest) for name, rest in sums.items()]
    return sorted(found, key=lambda reason: (-reason.count, reason.name))


def _failure_count(name: str, count: int, last_at: datetime) -> FailureCount:
    outcome = outcome_of(name)
    label = DESCRIPTIONS[outcome].label
    if name.isdigit():
        label = f"{name}, {label[:1].lower()}{label[1:]}"
    return FailureCount(name, label, hint_for(outcome, int(name) if name.isdigit() else None), count, last_at)
