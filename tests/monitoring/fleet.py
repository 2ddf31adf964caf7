"""Processes and facts as tests make them up: pure values, for the rules that judge them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from webhooks_app.monitoring.backlog import Sample
from webhooks_app.monitoring.facts import SWEEP_HEARTBEAT, Facts
from webhooks_app.monitoring.own_report import READS_FORMAT, SCHEDULER, WEB, WORKER
from webhooks_app.monitoring.reports import Process, Reports

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

WORKER_STATE: dict[str, Any] = {
    "redis": None,
    "pool_used": 0,
    "pool_idle": 1,
    "in_flight": 0,
    "capacity": 400,
    "endpoints": [],
    "silent_seconds": 0.1,
}
STATES: dict[str, dict[str, Any]] = {
    WEB: {"redis": None, "pool_used": 1, "pool_idle": 2},
    WORKER: WORKER_STATE,
    SCHEDULER: {"redis": None, "idle_seconds": 0.5},
}


def process(
    kind: str, *, pid: int = 1, reported: timedelta = 5 * SECOND, started: timedelta = DAY, **values: Any
) -> Process:
    """A process that reported so long ago; `state` is added to what is usual."""
    found = Process(
        id=f"prc_{kind}{pid}",
        kind=kind,
        host="one",
        pid=pid,
        version="1",
        started_at=NOW - started,
        reported_at=NOW - reported,
        clock_ahead_ms=0,
        ended_at=None,
        reads_format=READS_FORMAT,
        state=STATES[kind] | values.pop("state", {}),
    )
    return replace(found, **values)


def sample(ago: timedelta, **values: Any) -> Sample:
    empty = Sample(NOW - ago, 0, 0, 0, None, [], 1)
    return replace(empty, **values)


def facts(*processes: Process, samples: tuple[Sample, ...] = (), swept: timedelta = 5 * SECOND) -> Facts:
    newest_first = sorted(processes, key=lambda each: each.reported_at, reverse=True)
    return Facts(Reports(NOW, tuple(newest_first), {}), samples, {SWEEP_HEARTBEAT: NOW - swept}, 0, 0)


def well() -> tuple[Process, ...]:
    return process(WEB), process(WORKER), process(SCHEDULER)
