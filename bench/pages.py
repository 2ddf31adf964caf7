"""Server time of every page of the console, with a log of a million deliveries behind it."""

import random
import re
import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import insert, text

from bench.deployment import BENCH, Deployment
from webhooks_app.accounts import members, users
from webhooks_app.core import clock, ids
from webhooks_app.db.models import Attempt, AttemptRollup, Delivery, DeliveryState, Event, Role
from webhooks_app.deliveries import recoveries
from webhooks_app.deliveries.log import LogFilter, Status
from webhooks_app.extensions import services

Row = tuple[str, float, str]
PASSWORD = "a password of the bench"
DAYS, ENDPOINTS, BATCH, RUNS = 30, 20, 10_000, 15
BODY = b'{"id":"evt_x","type":"batch-lifecycle","data":{"batch_id":"batch_%07d","status":"succeeded"}}'


def pages(deployment: Deployment, count: int) -> Iterator[Row]:
    """The median of each page's time in the server, in milliseconds, and the slowest page's."""
    deployment.reset()
    endpoints = deployment.add_endpoints(ENDPOINTS)
    started = time.monotonic()
    _fill(deployment, endpoints, count)
    deployment.vacuum()
    if deployment.database == "sqlite":
        with services().write.begin() as connection:
            connection.execute(text("ANALYZE"))
    yield "filling the log", time.monotonic() - started, "s"
    client = _logged_in(deployment)
    medians = {}
    for name, url in _urls(deployment, endpoints).items():
        medians[name] = _median(deployment, client, url)
        yield f"page: {name}", medians[name], "ms"
    yield "the slowest page", max(medians.values()), "ms"


def _fill(deployment: Deployment, endpoints: list[str], count: int) -> None:
    chance = random.Random(7)
    start = clock.now() - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / count
    for first in range(0, count, BATCH):
        some = [
            _delivery(deployment.workspace_id, chance, endpoints, start + step * number, number)
            for number in range(first, min(first + BATCH, count))
        ]
        with services().write.begin() as connection:
            for position, model in enumerate((Event, Delivery, Attempt)):
                connection.execute(insert(model), [each[position] for each in some])
    hours = [
        {"endpoint_id": name, "hour_at": hour, "outcome": outcome, "latency_bucket": bucket, "count": 40}
        for name in endpoints
        for hour in (
            start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=n)
            for n in range(DAYS * 24 + 1)
        )
        for outcome, bucket in (("success", 4), ("success", 6), ("http_5xx", 5))
    ]
    with services().write.begin() as connection:
        connection.execute(insert(AttemptRollup), hours)


def _delivery(
    workspace_id: str, chance: random.Random, endpoints: list[str], at: datetime, number: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    name = ids.floor("x", at)[2:14] + f"{number:013d}0"
    is_bad = chance.random() < 0.03
    outcome = chance.choice(["timeout", "http_5xx", "http_4xx"]) if is_bad else "success"
    shared = {"workspace_id": workspace_id, "created_at": at}
    event = shared | {"id": f"evt_{name}", "type": "batch-lifecycle", "body": BODY % number}
    delivery = shared | {
        "id": f"dlv_{name}",
        "event_id": f"evt_{name}",
        "endpoint_id": chance.choice(endpoints),
        "event_type": chance.choice(["batch-lifecycle", "batch-request", "api-key-creation"]),
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
    attempt = {
        "delivery_id": f"dlv_{name}",
        "generation": 1,
        "started_at": at,
        "outcome": outcome,
        "status": delivery["last_status"],
        **dict.fromkeys(("dns_us", "connect_us", "tls_us", "first_byte_us", "total_us"), 900),
        "request_headers": '[["content-type","application/json"]]',
        "response_headers": b"HTTP/1.1 200 OK\r\n",
        "response_body": b"ok",
        "response_truncated": False,
    }
    return event, delivery, attempt


def _logged_in(deployment: Deployment) -> FlaskClient:
    user_id = users.add(services().write, email="bench@example.com", name="Bench", password=PASSWORD)
    members.add(services().write, deployment.workspace_id, user_id, Role.ADMIN, actor=BENCH)
    client = deployment.app.test_client()
    page = client.get("/login").text
    [token] = re.findall(r'name="csrf_token" value="([^"]+)"', page)[:1]
    data = {"email": "bench@example.com", "password": PASSWORD, "csrf_token": token}
    assert client.post("/login", data=data).status_code == 303
    return client


def _urls(deployment: Deployment, endpoints: list[str]) -> dict[str, str]:
    with services().write.connect() as connection:
        failed, middle = (
            connection.execute(text(statement)).scalar()
            for statement in (
                "SELECT id FROM deliveries WHERE state = 'failed' ORDER BY id DESC LIMIT 1",
                "SELECT id FROM deliveries ORDER BY id LIMIT 1 OFFSET 500000",
            )
        )
    wake_ups = services(deployment.app).wake_ups
    wanted = LogFilter(status=Status.FAILED)
    recovery = recoveries.start(services().databases, wake_ups, deployment.workspace_id, wanted, actor=BENCH)
    workspace = f"/w/{deployment.workspace_id}"
    base = f"{workspace}/alerts/webhooks"
    one = f"{base}/endpoints/{endpoints[0]}"
    return {
        "endpoints": f"{base}/",
        "endpoint, 24 h": one,
        "endpoint, 30 d": f"{one}?period=30d",
        "endpoint, deliveries": f"{one}/deliveries",
        "endpoint, deliveries that failed": f"{one}/deliveries?status=failed",
        "endpoint, verify": f"{one}/verify",
        "endpoint, test": f"{one}/test",
        "endpoint, settings": f"{one}/settings",
        "new endpoint": f"{base}/endpoints/new",
        "deliveries": f"{base}/deliveries/",
        "deliveries, in the middle of the log": f"{base}/deliveries/?before={middle}",
        "deliveries that failed": f"{base}/deliveries/?status=failed",
        "deliveries by response": f"{base}/deliveries/?response=timeout",
        "deliveries by event type and time": f"{base}/deliveries/?event_type=batch-request&range=7d",
        "deliveries by id": f"{base}/deliveries/?q={failed}",
        "deliveries by text that is rare": f"{base}/deliveries/?q=batch_0500000",
        "deliveries, what has changed": f"{base}/deliveries/changes?newest={failed}",
        "delivery": f"{base}/deliveries/{failed}",
        "recoveries": f"{base}/recoveries/",
        "recovery, 30,000 counted": f"{base}/recoveries/new?status=failed&range=all",
        "recovery, by response and time": f"{base}/recoveries/new?status=failed&response=timeout&range=7d",
        "recovery, running": f"{base}/recoveries/{recovery}",
        "catalog": f"{base}/catalog/",
        "API tokens": f"{workspace}/tokens/",
        "members": f"{workspace}/members/",
        "audit log": f"{workspace}/audit/",
        "settings": f"{workspace}/settings/",
        "profile": f"{workspace}/profile/",
    }


def _median(deployment: Deployment, client: FlaskClient, url: str) -> float:
    times = []
    for turn in range(RUNS + 2):
        began = time.perf_counter()
        with deployment.app.app_context():  # of its own, as each request of a server has
            response = client.get(url)
        taken = (time.perf_counter() - began) * 1000
        assert response.status_code in (200, 204), (url, response.status_code)
        if turn >= 2:
            times.append(taken)
    return statistics.median(times)
