"""A workspace as it is after a month: a dozen endpoints, thousands of deliveries, a worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import insert

from tests.conftest import Workspace, new_engine
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    Attempt,
    AttemptRollup,
    Delivery,
    DeliveryState,
    Event,
    Facet,
    TrafficCount,
)
from webhooks_app.deliveries import recovery_runs
from webhooks_app.extensions import services

DELIVERIES, DAYS = 8_000, 30
NAMES = (
    *("Analytics", "Audit archive", "Batch dashboard", "Customer portal", "Data lake", "Feature store"),
    *("Incident bot", "Key vault", "Model registry", "Notebook runner", "Search index", "Usage metering"),
)
BODY = b'{"id":"evt_%s","type":"batch-lifecycle","data":{"batch_id":"batch_%05d","status":"succeeded"}}'
PHASES = ("dns_us", "connect_us", "tls_us", "first_byte_us", "total_us")


def fill(database: WriteDatabase, workspace: Workspace) -> None:
    """Add a dozen endpoints and what was delivered to them in a month; of each batch one delivery."""
    endpoints = [
        workspace.endpoint(
            f"https://{name.split()[0].lower()}.example.com/hooks",
            name=name,
            all_events=False,
            event_types=("batch-request",),  # no story sends one, so nothing leaves this machine
        )
        for name in NAMES
    ]
    rows = [_delivered(workspace.id, endpoints, position) for position in range(DELIVERIES)]
    with database.begin() as connection:
        for position, model in enumerate((Event, Delivery, Attempt)):
            connection.execute(insert(model), [row[position] for row in rows])
        connection.execute(insert(AttemptRollup), _hours(endpoints))
        connection.execute(insert(TrafficCount), _traffic(workspace.id, endpoints))


def _delivered(workspace_id: str, endpoints: list[str], position: int) -> tuple[dict[str, Any], ...]:
    at = clock.now() - timedelta(days=DAYS) * (1 - position / DELIVERIES) - timedelta(hours=1)
    name, batch = ids.floor("x", at)[2:], f"batch_{position:05d}"
    shared = {"workspace_id": workspace_id, "created_at": at}
    event = {
        "id": f"evt_{name}",
        "type": "batch-lifecycle",
        "body": BODY % (name.encode(), position),
        "indexed_values": [batch, "succeeded"],
        "first_value": batch,
        "second_value": "succeeded",
    }
    delivery = {
        "id": f"dlv_{name}",
        "event_id": event["id"],
        "endpoint_id": endpoints[position % len(endpoints)],
        "event_type": "batch-lifecycle",
        "state": DeliveryState.DELIVERED,
        "last_outcome": "success",
        "last_status": 200,
        "generation": 1,
        "attempt_count": 1,
        "tries": 1,
        "last_attempt_at": at,
        "finished_at": at,
        "last_duration_ms": 20,
    }
    attempt = {
        "delivery_id": delivery["id"],
        "generation": 1,
        "started_at": at,
        "outcome": "success",
        "status": 200,
        "request_headers": '[["content-type","application/json"]]',
        "response_headers": b"HTTP/1.1 200 OK\r\n",
        "response_body": b"ok",
        "response_truncated": False,
    }
    return shared | event, shared | delivery, attempt | dict.fromkeys(PHASES, 900)


def _hours(endpoints: list[str]) -> list[dict[str, Any]]:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    return [
        {
            "endpoint_id": each,
            "hour_at": hour - timedelta(hours=ago),
            "outcome": "success",
            "latency_bucket": 4,
        }
        | {"count": 3 + (7 * ago + position) % 5}
        for position, each in enumerate(endpoints)
        for ago in range(24 * DAYS)
    ]


def _traffic(workspace_id: str, endpoints: list[str]) -> list[dict[str, Any]]:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    names = ((Facet.RESPONSE, "200"), (Facet.EVENT_TYPE, "batch-lifecycle"))
    return [
        {"scope_id": scope_id, "facet": facet, "starts_at": hour - timedelta(hours=ago), "minutes": 60}
        | {"name": name, "count": 3 + 7 * ago % 5, "failed": 0}
        for scope_id in (workspace_id, *endpoints)
        for facet, name in names
        for ago in range(24 * DAYS)
    ]


@contextmanager
def working(app: Flask) -> Iterator[None]:
    """Deliver and recover as a worker does, in a thread of its own."""
    stop = threading.Event()

    def work() -> None:
        found = services(app)
        with new_engine(app) as engine:
            while not stop.wait(0.02):
                engine.run(seconds=0.2, should_stop=stop.is_set)
                recovery_runs.run_all(found.databases, found.wake_ups, should_stop=stop.is_set)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
