"""The metrics as Prometheus reads them. Loads prometheus_client, so nobody imports it before it is asked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from prometheus_client import exposition as prometheus
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import webhooks_app
from webhooks_app.monitoring import backlog, lost_processes, own_report
from webhooks_app.monitoring.counters import LARGEST_BUCKET, Key, split_key
from webhooks_app.monitoring.facts import Facts
from webhooks_app.monitoring.metrics import COUNTERS, GAUGES, HISTOGRAMS, PREFIX
from webhooks_app.monitoring.reports import Process

Samples = Iterable[tuple[Sequence[str], float | None]]


def render(
    facts: Facts | None, counted: Mapping[str, float], problems: Sequence[tuple[str, str]], accept: str
) -> tuple[bytes, str]:
    """Return the body of `/metrics` and its content type, in the format that `accept` asks for.

    `counted` are all processes' counters, or this one's where the database does not answer and `facts` is
    None. `problems`: code and severity of each.
    """
    encode, content_type = prometheus.choose_encoder(accept)
    return encode(_Metrics([*_counted(counted), *_gauges(facts, problems)])), content_type


class _Metrics(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _counted(counted: Mapping[str, float]) -> Iterator[Metric]:
    by_name: dict[str, dict[Key, float]] = {}
    for text, value in counted.items():
        name, *labels = split_key(text)
        by_name.setdefault(name, {})[tuple(labels)] = value
    for name, metric in COUNTERS.items():
        family = CounterMetricFamily(PREFIX + name, metric.meaning, labels=metric.labels)
        nothing: dict[Key, float] = {} if metric.labels else {(): 0}
        for labels_of, value in sorted((nothing | by_name.get(name, {})).items()):
            if len(labels_of) == len(metric.labels):
                family.add_metric(labels_of, value)
        yield family
    for name, metric in HISTOGRAMS.items():
        seconds = by_name.get(f"{name}_sum_us", {}).get((), 0) / 1_000_000
        buckets = {int(labels_of[0]): value for labels_of, value in by_name.get(name, {}).items()}
        yield HistogramMetricFamily(
            f"{PREFIX}{name}_seconds", metric.meaning, buckets=_cumulative(buckets), sum_value=seconds
        )


def _cumulative(buckets: Mapping[int, float]) -> list[tuple[str, float]]:
    """Return the buckets by their upper ends in seconds, each with all that is below."""
    below, sums = 0.0, []
    for bucket in range(LARGEST_BUCKET):
        below += buckets.get(bucket, 0)
        sums.append((str(2**bucket / 1000), below))
    return [*sums, ("+Inf", below + buckets.get(LARGEST_BUCKET, 0))]


def _gauges(facts: Facts | None, problems: Sequence[tuple[str, str]]) -> Iterator[Metric]:
    values: dict[str, Samples] = {
        "database_up": [((), float(facts is not None))],
        "build_info": [((webhooks_app.__version__,), 1)],
        "problem": [(problem, 1) for problem in problems],
    }
    if facts is not None:
        values |= _of_processes(facts) | _of_backlog(facts)
    for name, metric in GAUGES.items():
        family = GaugeMetricFamily(PREFIX + name, metric.meaning, labels=metric.labels)
        for labels, value in values.get(name, ()):
            if value is not None:
                family.add_metric(labels, value)
        yield family


def _of_processes(facts: Facts) -> dict[str, Samples]:
    now = facts.now
    lost = lost_processes.find(facts.reports)
    alive = [each for kind in own_report.KINDS for each in facts.reports.alive(kind)]
    workers = [each for each in alive if each.kind == own_report.WORKER]
    shown = [*alive, *lost]
    return {
        "processes": [((kind,), len(facts.reports.alive(kind))) for kind in own_report.KINDS],
        "processes_lost": [((kind,), sum(each.kind == kind for each in lost)) for kind in own_report.KINDS],
        "heartbeat_age_seconds": [(_who(each), _seconds(now - each.reported_at)) for each in shown],
        "clock_ahead_seconds": [(_who(each), each.clock_ahead_ms / 1000) for each in alive],
        "redis_failing": [(_who(each), float(bool(each.state.get("redis")))) for each in alive],
        "pool_connections": [
            ((*_who(each), state), each.state.get(f"pool_{state}"))
            for each in alive
            for state in ("used", "idle")
        ],
        "worker_in_flight": [((each.name,), each.state.get("in_flight")) for each in workers],
        "worker_capacity": [((each.name,), each.state.get("capacity")) for each in workers],
        "worker_silent_seconds": [((each.name,), each.state.get("silent_seconds")) for each in workers],
        "endpoint_in_flight": [((name,), count) for name, count in facts.reports.in_flight_by_endpoint()],
    }


def _of_backlog(facts: Facts) -> dict[str, Samples]:
    found: dict[str, Samples] = {
        "recoveries_running": [((), facts.recoveries)],
        "fan_outs_pending": [((), facts.fan_outs)],
    }
    if facts.swept_at is not None:
        found["sweep_age_seconds"] = [((), _seconds(facts.now - facts.swept_at))]
    if not facts.samples:
        return found
    newest = facts.samples[-1]
    oldest_due_at: Any = newest.oldest_due_at or facts.now
    return found | {
        "pending_deliveries": [((), newest.pending)],
        "due_deliveries": [((), newest.due)],
        "held_deliveries": [((), newest.held)],
        "oldest_due_age_seconds": [((), _seconds(facts.now - oldest_due_at))],
        "backlog_growth_per_minute": [((), backlog.slope_per_minute(facts.samples))],
        "backlog_sample_age_seconds": [((), _seconds(facts.now - newest.at))],
        "endpoint_due": [((str(name),), float(str(due))) for name, due in newest.endpoints],
    }


def _who(process: Process) -> tuple[str, str]:
    return process.kind, process.name


def _seconds(span: timedelta) -> float:
    return max(0.0, round(span.total_seconds(), 3))
