"""Measures what operators ask for, with a long log, a long queue and many processes behind it."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import delete, insert, text, update

from bench.deployment import Deployment
from bench.measures import Figure
from bench.page_times import fill_log, median_ms
from webhooks_app.core import clock
from webhooks_app.db.models import BacklogSample, Heartbeat, ProcessReport
from webhooks_app.events.catalog import load
from webhooks_app.extensions import services
from webhooks_app.monitoring import backlog, own_report
from webhooks_app.monitoring.counters import Key, ProcessCounters

TOKEN = "a token of the bench's own".replace(" ", "-")
PROCESSES, SAMPLES, ENDPOINTS = 40, 240, 20
_RUNS = 15
# As a worker reports it.
STATE = {
    "in_flight": 200,
    "capacity": 400,
    "silent_seconds": 0.0,
    "redis": None,
    "pool_used": 1,
    "pool_idle": 2,
}
_ENQUEUE = """
    INSERT INTO pending_deliveries
        (delivery_id, endpoint_id, event_id, next_attempt_at, generation, tries, lapses)
    SELECT id, endpoint_id, event_id, created_at, 0, 0, 0 FROM deliveries
"""


def measure(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure with `count` deliveries in the log, and then with as many in the queue, too."""
    deployment.reset()
    endpoints = deployment.add_endpoints(ENDPOINTS)
    fill_log(deployment, endpoints, count)
    _fill_reports(endpoints)
    yield from _figures(deployment, f"{count:,} in the log")
    with services().write.without_time_limit().begin() as connection:
        connection.execute(text(_ENQUEUE))
    yield from _figures(deployment, f"{count:,} in the queue, too")


def _figures(deployment: Deployment, where: str) -> Iterator[Figure]:
    deployment.vacuum()
    found = services()
    found.settings = replace(found.settings, metrics_token=TOKEN)
    client = deployment.app.test_client()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    yield f"/metrics, {where}", median_ms(deployment, client, "/metrics", headers=headers), "ms"
    yield f"/metrics, {where}, processor", _cpu_ms(deployment, client, headers), "ms"
    with found.write.begin() as connection:
        connection.execute(update(Heartbeat).values(at=clock.now() - timedelta(minutes=5)))
    began = time.perf_counter()
    assert backlog.sample_if_due(found.databases)
    yield f"counting what waits, {where}", (time.perf_counter() - began) * 1000, "ms"


def _cpu_ms(deployment: Deployment, client: FlaskClient, headers: dict[str, str]) -> float:
    """Return what an answer costs this process, whatever else the machine is at; SQLite's part included."""
    times = []
    for _ in range(_RUNS):
        began = time.process_time()
        with deployment.app.app_context():
            assert client.get("/metrics", headers=headers).status_code == 200
        times.append((time.process_time() - began) * 1000)
    return statistics.median(times)


def _fill_reports(endpoints: list[str]) -> None:
    now, state = clock.now(), STATE | {"endpoints": [[name, 10, 256] for name in endpoints[:5]]}
    counters = _counters().snapshot()
    rows = [
        {
            "id": f"prc_{number:026d}",
            "kind": own_report.KINDS[number % 3],
            "host": "bench",
            "pid": number,
            "version": "1",
            "started_at": now,
            "reported_at": now,
            "clock_ahead_ms": 0,
            "ended_at": None,
            "state": state,
            "counters": counters,
        }
        for number in range(PROCESSES)
    ]
    samples = [
        {
            "at": now - timedelta(seconds=15 * number),
            "pending": 9,
            "due": 9,
            "held": 9,
            "oldest_due_at": now,
            "endpoints": [[name, 9] for name in endpoints[:5]],
            "duration_ms": 9,
        }
        for number in range(SAMPLES)
    ]
    with services().write.begin() as connection:
        connection.execute(delete(ProcessReport))
        connection.execute(insert(ProcessReport), rows)
        connection.execute(insert(BacklogSample), samples)


def _counters() -> ProcessCounters:
    """Counters in which about everything there is has been counted."""
    counters = ProcessCounters()
    keys: list[Key] = [("events", name, "accepted") for name in load().names]
    keys += [("attempts", f"http_{number}xx") for number in range(17)]
    keys += [(name, str(bucket)) for name in ("accept_duration", "attempt_duration") for bucket in range(20)]
    counters.add(dict.fromkeys(keys, 123_456))
    return counters
