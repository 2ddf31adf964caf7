"""Measures the server time of every page of the console, with a long delivery log behind it."""

import random
import re
import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flask.testing import FlaskClient
from sqlalchemy import insert, text

from bench import outage, page_addresses
from bench.deployment import BENCH, Deployment
from bench.measures import Figure
from webhooks_app.accounts import members, users
from webhooks_app.core import clock, ids
from webhooks_app.db.models import (
    Attempt,
    AttemptRollup,
    Delivery,
    DeliveryState,
    Event,
    Facet,
    Role,
    TrafficCount,
)
from webhooks_app.extensions import services

PASSWORD = "a password of the bench"
DAYS, ENDPOINTS, MEMBERS, BATCH, RUNS = 30, 500, 50, 2_000, 15
BODY = b'{"id":"evt_x","type":"batch-lifecycle","data":{"batch_id":"batch_%07d","status":"succeeded"}}'


def measure(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure the median server time of each page, with `count` deliveries in the log."""
    deployment.reset()
    endpoints = deployment.add_endpoints(ENDPOINTS)
    started = time.monotonic()
    fill_log(deployment, endpoints, count)
    fill_surroundings(deployment, endpoints)
    client = log_in(deployment)
    yield "filling the log", time.monotonic() - started, "s"
    yield from measure_pages(deployment, client, endpoints, count)


def fill_surroundings(deployment: Deployment, endpoints: list[str]) -> None:
    """Add what the pages show beside the log, and bring the planner's statistics up to date."""
    _fill_traffic([deployment.workspace_id, *endpoints[:20]])
    outage.begin(endpoints[1])
    analyze(deployment)


def analyze(deployment: Deployment) -> None:
    """Bring the planner's statistics up to date."""
    deployment.vacuum()
    if deployment.database == "sqlite":
        with services().write.begin() as connection:
            connection.execute(text("ANALYZE"))


def measure_pages(
    deployment: Deployment, client: FlaskClient, endpoints: list[str], count: int
) -> Iterator[Figure]:
    """Measure the median server time of each page."""
    medians, processor, sizes = [], [], []
    for name, url in page_addresses.name_pages(deployment, endpoints, count).items():
        times = median_times(deployment, client, url)
        medians.append(times.wall_ms)
        processor.append(times.cpu_ms)
        sizes.append(_wire_kib(deployment, client, url))
        yield (
            f"page: {name}",
            times.wall_ms,
            f"ms, {times.cpu_ms:.0f} of CPU, {sizes[-1]:.1f} KiB on the wire",
        )
    yield (
        "the slowest page",
        max(medians),
        f"ms, {max(processor):.0f} of CPU; the largest has {max(sizes):.1f} KiB",
    )


def _add_members(deployment: Deployment) -> None:
    for number in range(MEMBERS - 1):  # and the one who looks at the pages
        user_id = users.add(
            services().write, email=f"bench{number}@example.com", name=f"Bench {number}", password=PASSWORD
        )
        members.add(services().write, deployment.workspace_id, user_id, Role.VIEWER, actor=BENCH)


def _wire_kib(deployment: Deployment, client: FlaskClient, url: str) -> float:
    """Return how long the page is as a browser gets it that follows a link of the console's own."""
    headers = {"Accept-Encoding": "gzip", "Sec-Fetch-Site": "same-origin"}
    with deployment.app.app_context():
        return len(client.get(url, headers=headers).data) / 1024


def fill_log(deployment: Deployment, endpoints: list[str], count: int) -> None:
    """Insert `count` finished deliveries of the last thirty days, with events, attempts and hourly counts."""
    rng = random.Random(7)
    start = clock.now() - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / count
    for first in range(0, count, BATCH):
        some = [
            _delivery(deployment.workspace_id, rng, endpoints, start + step * number, number)
            for number in range(first, min(first + BATCH, count))
        ]
        with services().write.begin() as connection:
            for position, model in enumerate((Event, Delivery, Attempt)):
                connection.execute(insert(model), [each[position] for each in some])
    fill_rollups(endpoints, start)


def fill_rollups(endpoints: list[str], start: datetime) -> None:
    """Insert the hourly counts of each endpoint since then."""
    first_hour = start.replace(minute=0, second=0, microsecond=0)
    hours = [first_hour + timedelta(hours=number) for number in range(DAYS * 24 + 1)]
    for name in endpoints:  # each in a transaction of its own, as none may take long
        rows = [
            {"endpoint_id": name, "hour_at": hour, "outcome": outcome, "latency_bucket": bucket, "count": 40}
            for hour in hours
            for outcome, bucket in (("success", 4), ("success", 6), ("http_5xx", 5))
        ]
        with services().write.begin() as connection:
            connection.execute(insert(AttemptRollup), rows)


def _fill_traffic(scope_ids: list[str]) -> None:
    """Insert the sums of thirty days by response and for each type of the catalog."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    kinds = [(Facet.EVENT_TYPE, name) for name in sorted(services().catalog.names)]
    kinds += [(Facet.RESPONSE, name) for name in ("200", "404", "503", "timeout")]
    for scope_id in scope_ids:
        for facet, name in kinds:
            rows = [
                {"scope_id": scope_id, "facet": facet, "minutes": 60, "name": name, "failed": 1}
                | {"count": 40, "starts_at": hour - timedelta(hours=ago)}
                for ago in range(DAYS * 24 + 1)
            ]
            with services().write.begin() as connection:
                connection.execute(insert(TrafficCount), rows)


def _delivery(
    workspace_id: str, rng: random.Random, endpoints: list[str], at: datetime, number: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the rows of an event, its one delivery and that delivery's one attempt."""
    name = ids.floor("x", at)[2:14] + f"{number:013d}0"
    is_bad = rng.random() < 0.03
    outcome = rng.choice(["timeout", "http_5xx", "http_4xx"]) if is_bad else "success"
    shared = {"workspace_id": workspace_id, "created_at": at}
    values = [f"batch_{number:07d}", "succeeded"]
    event = shared | {"id": f"evt_{name}", "type": "batch-lifecycle", "body": BODY % number}
    event |= {"indexed_values": values, "first_value": values[0], "second_value": values[1]}
    delivery = shared | {
        "id": f"dlv_{name}",
        "event_id": f"evt_{name}",
        "endpoint_id": rng.choice(endpoints),
        "event_type": rng.choice(["batch-lifecycle", "batch-request", "api-key-creation"]),
        "state": DeliveryState.FAILED if is_bad else DeliveryState.DELIVERED,
        "last_outcome": outcome,
        "last_status": {"success": 200, "http_5xx": 503, "http_4xx": 404}.get(outcome),
        "generation": 1,
        "attempt_count": 1,
        "tries": 1,
        "last_attempt_at": at,
        "finished_at": at,
        "last_duration_ms": 20,
    }
    return event, delivery, _attempt(delivery)


def _attempt(delivery: dict[str, Any]) -> dict[str, Any]:
    return {
        "delivery_id": delivery["id"],
        "generation": 1,
        "started_at": delivery["last_attempt_at"],
        "outcome": delivery["last_outcome"],
        "status": delivery["last_status"],
        **dict.fromkeys(("dns_us", "connect_us", "tls_us", "first_byte_us", "total_us"), 900),
        "request_headers": '[["content-type","application/json"]]',
        "response_headers": b"HTTP/1.1 200 OK\r\n",
        "response_body": b"ok",
        "response_truncated": False,
    }


def log_in(deployment: Deployment) -> FlaskClient:
    """Return a client of an admin, in a workspace of some members; to be called once."""
    _add_members(deployment)
    user_id = users.add(services().write, email="bench@example.com", name="Bench", password=PASSWORD)
    members.add(services().write, deployment.workspace_id, user_id, Role.ADMIN, actor=BENCH)
    client = deployment.app.test_client()
    page = client.get("/login").text
    [token] = re.findall(r'name="csrf_token" value="([^"]+)"', page)[:1]
    data = {"email": "bench@example.com", "password": PASSWORD, "csrf_token": token}
    assert client.post("/login", data=data).status_code == 303
    return client


class Times(NamedTuple):
    """Of a page: `cpu_ms` is this process's, without a database server's."""

    wall_ms: float
    cpu_ms: float


def median_ms(deployment: Deployment, client: FlaskClient, url: str, **options: Any) -> float:
    """Return the median of the times that the page takes, without a network."""
    return median_times(deployment, client, url, **options).wall_ms


def median_times(deployment: Deployment, client: FlaskClient, url: str, **options: Any) -> Times:
    """Return the medians of the times that the page takes, without a network."""
    times = []
    for turn in range(RUNS + 2):
        began = time.perf_counter(), time.process_time()
        with deployment.app.app_context():  # of its own, as each request of a server has
            response = client.get(url, **options)
        taken = (time.perf_counter() - began[0]) * 1000, (time.process_time() - began[1]) * 1000
        assert response.status_code in (200, 204), (url, response.status_code)
        if turn >= 2:
            times.append(taken)
    walls, processor = zip(*times, strict=True)
    return Times(statistics.median(walls), statistics.median(processor))
