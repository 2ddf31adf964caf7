"""The chart of traffic as its template draws it: bars and legend, each with its address in the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.db.models import Facet
from webhooks_app.deliveries.log import filters
from webhooks_app.endpoints import attempt_stats, charts, traffic
from webhooks_app.endpoints.charts import Period
from webhooks_app.endpoints.traffic import Traffic

WIDTH, HEIGHT, GAP = 480, 160, 3
# More would be told apart by nobody; the others are one series, the table has them all.
_MOST_SERIES = 7
_OTHERS = "others"
_SHADES = 3  # of one class of responses

FACETS = {Facet.RESPONSE: "By response", Facet.EVENT_TYPE: "By event type"}


@dataclass(slots=True, frozen=True)
class ChartPart:
    """Attempts of one bin, or of the whole period, with one name; `css` is the class of its colour."""

    label: str
    css: str
    count: int
    address: str
    path: str = ""


@dataclass(slots=True, frozen=True)
class ChartColumn:
    """One bin: its parts from the foot of the bar upwards."""

    starts_at: datetime
    ends_at: datetime
    x: float
    count: int
    failed: int
    address: str
    parts: list[ChartPart]


@dataclass(slots=True, frozen=True)
class TrafficChart:
    traffic: Traffic
    columns: list[ChartColumn]
    legend: list[ChartPart]
    top: int

    @property
    def step_width(self) -> float:
        return WIDTH / len(self.columns)

    @property
    def ticks(self) -> list[datetime]:
        """Where the axis has a time."""
        step = len(self.columns) // self.traffic.period.parts
        return [column.starts_at for column in self.columns[::step]]


@dataclass(slots=True, frozen=True)
class _Series:
    name: str
    label: str
    css: str
    arguments: dict[str, str]


def chosen_period() -> Period:
    """Return what the request asks for, or the last day."""
    return charts.PERIODS.get(request.args.get("period", ""), attempt_stats.DAY)


def chosen_facet() -> Facet:
    """Return what the request asks to tell attempts apart by."""
    by = request.args.get("by", "")
    return Facet(by) if by in set(Facet) else Facet.RESPONSE


def variables(found: Traffic, log_path: str, view: str, **values: str) -> dict[str, Any]:
    """Return what templates/traffic/_chart.html reads; `view` with `values` is the page that it stands on."""
    chosen = {name: request.args[name] for name in ("period", "by") if name in request.args}
    here: dict[str, Any] = values | chosen
    return {
        "chart": draw(found, log_path),
        "period_choices": [(each.key, each.label) for each in charts.PERIODS.values()],
        "facet_choices": [(each.value, label) for each, label in FACETS.items()],
        "traffic_address": lambda **changed: url_for(view, **{**here, **changed}),
    }


def draw(found: Traffic, log_path: str) -> TrafficChart:
    """Return the chart of what was found; `log_path` is the log that its bars lead into. Pure."""
    series = _series(found)
    shown = {each.name for each in series}
    bins: list[dict[str, int]] = [{} for _ in range(found.period.bins)]
    failed = [0] * found.period.bins
    for each in found.counts:
        name = each.name if each.name in shown else _OTHERS
        bins[each.position][name] = bins[each.position].get(name, 0) + each.count
        failed[each.position] += each.failed
    top = charts.round_up_to_even_scale(max((sum(each.values()) for each in bins), default=0))
    columns = [
        _column(found, position, counts, failed[position], series, top, log_path)
        for position, counts in enumerate(bins)
    ]
    whole = {"range": found.period.key}
    legend = [
        ChartPart(each.label, each.css, sum(counts.get(each.name, 0) for counts in bins), address)
        for each in series
        for address in [_address(log_path, each.arguments, whole)]
    ]
    return TrafficChart(found, columns, legend, top)


def _column(
    found: Traffic,
    position: int,
    counts: dict[str, int],
    failed: int,
    series: list[_Series],
    top: int,
    log_path: str,
) -> ChartColumn:
    step = WIDTH / found.period.bins
    starts_at = found.since + found.period.step * position
    ends_at = starts_at + found.period.step
    time = {"from": f"{starts_at:%Y-%m-%dT%H:%M}", "until": f"{ends_at:%Y-%m-%dT%H:%M}"}
    parts, y, x = [], float(HEIGHT), position * step
    for each in series:
        if not (count := counts.get(each.name, 0)):
            continue
        # However small its share, it is to be seen and hit.
        tall = min(max(count / top * HEIGHT, 3), y)
        y -= tall
        path = f"M{x:.5g} {y:.4g}h{step - GAP:.5g}v{tall:.4g}h-{step - GAP:.5g}z"
        parts.append(ChartPart(each.label, each.css, count, _address(log_path, each.arguments, time), path))
    total = sum(counts.values())
    return ChartColumn(starts_at, ends_at, x, total, failed, _address(log_path, {}, time), parts)


def _address(path: str, arguments: dict[str, str], time: dict[str, str]) -> str:
    return f"{path}?{urlencode(arguments | time, safe=':')}"


def _series(found: Traffic) -> list[_Series]:
    """Return what is told apart, from the foot of the bars upwards: failures first, the rest last."""
    names = list(found.sums())
    shown = names if len(names) <= _MOST_SERIES + 1 else names[:_MOST_SERIES]
    make = _responses if found.facet is Facet.RESPONSE else _event_types
    series = make(shown)
    if len(shown) < len(names):
        series.append(_Series(_OTHERS, f"{len(names) - len(shown)} others", "c-others", {}))
    return series


def _event_types(names: list[str]) -> list[_Series]:
    return [
        _Series(name, name, f"c-type-{position}", {"event_type": name}) for position, name in enumerate(names)
    ]


def _responses(names: list[str]) -> list[_Series]:
    found: list[_Series] = []
    shades: dict[str, int] = {}
    for name in sorted(names, key=lambda name: traffic.outcome_of(name) is OutcomeClass.SUCCESS):
        group = _group(name)
        shade = shades[group] = min(shades.get(group, 0) + 1, _SHADES)
        arguments = {"response": response_argument(name)}
        found.append(_Series(name, traffic.label_of(name), f"c-{group}-{shade}", arguments))
    return found


def _group(name: str) -> str:
    outcome = traffic.outcome_of(name)
    return traffic.label_of(name)[0] + "xx" if filters.response_filter(outcome)[0].isdigit() else "none"


def response_argument(name: str) -> str:
    """Return the value of the log's filter `response` that finds what was counted by this name. Pure."""
    return name if name.isdigit() else filters.response_filter(OutcomeClass(name))
