"""Measures bytes per delivery, and whether accepting, delivering and the console's pages slow with the log."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import text

from bench import accept_measures, page_times, volume_rows
from bench.deployment import BENCH, Deployment, wait_for
from bench.measures import Figure
from bench.sink_client import received, request, stats
from webhooks_app.accounts import api_tokens, workspaces
from webhooks_app.core import clock
from webhooks_app.extensions import services

# A log that the pages have something to show of, and that is nothing beside the long one.
SHORT_LOG = 10_000
WARM_UP = 200
_SIZES = {
    "postgresql": """
        SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_index i ON i.indexrelid = c.oid
        LEFT JOIN pg_class t ON t.oid = i.indrelid
        WHERE n.nspname = 'public' AND COALESCE(t.relname, c.relname) IN ('events', 'deliveries', 'attempts')
            AND c.relkind IN ('r', 'i')
        ORDER BY COALESCE(t.relname, c.relname), c.relkind DESC, c.relname
    """,
    "sqlite": """
        SELECT s.name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name
        WHERE s.aggregate = true AND m.tbl_name IN ('events', 'deliveries', 'attempts')
        GROUP BY s.name ORDER BY m.tbl_name, m.type DESC, s.name
    """,
}


def measure(deployment: Deployment, count: int, sent: int) -> Iterator[Figure]:
    """Measure with a short log, then with `count` deliveries in it; `sent` at either time."""
    client = page_times.log_in(deployment)
    short = {what: value for what, value, _ in _figures(deployment, client, SHORT_LOG, sent)}
    for what, value, unit in _figures(deployment, client, count, sent):
        yield what, value, f"{unit}; {short[what]:,.2f} with {SHORT_LOG:,}" if what in short else unit


def _figures(deployment: Deployment, client: FlaskClient, count: int, sent: int) -> Iterator[Figure]:
    deployment.reset()
    endpoints = deployment.add_endpoints(page_times.ENDPOINTS)
    started = time.monotonic()
    volume_rows.fill(deployment.database, deployment.workspace_id, endpoints, count)
    yield f"inserting {count:,} deliveries", time.monotonic() - started, "s"
    yield from _bytes_each(deployment, count)
    page_times.fill_rollups(endpoints, clock.now() - timedelta(days=page_times.DAYS))
    page_times.fill_surroundings(deployment, endpoints)
    # Before the pages, which start a recovery of all that failed.
    yield from _rates(deployment, sent)
    own = time.process_time()
    with accept_measures.cpu_seconds(deployment) as database:
        pages = list(page_times.measure_pages(deployment, client, endpoints, count))
    yield from pages
    turns = (len(pages) - 1) * (page_times.RUNS + 2)
    yield "all pages, console", (time.process_time() - own) / turns * 1000, "CPU ms each"
    yield "all pages, database", database[0] / turns * 1000, "CPU ms each"
    with services().write.begin() as connection:  # or workers would go on with it behind the next log
        connection.execute(text("DELETE FROM recoveries"))


def _bytes_each(deployment: Deployment, count: int) -> Iterator[Figure]:
    with services().read.connect() as connection:
        rows = connection.execute(text(_SIZES[deployment.database])).all()
    for name, size in rows:
        if size >= count:
            yield f"bytes a delivery: {name}", size / count, "bytes"
    yield "bytes a delivery: everything", sum(size for _, size in rows) / count, "bytes"


def _rates(deployment: Deployment, count: int) -> list[Figure]:
    """Measure accepting and draining in a workspace beside the one with the log."""
    theirs = deployment.workspace_id, deployment.token
    deployment.workspace_id = workspaces.create(services().write, f"Rates {time.time()}", actor=BENCH)
    deployment.token = api_tokens.create(services().write, deployment.workspace_id, "rates", actor=BENCH)
    try:
        deployment.add_endpoints(10, event_type="batch-request")
        deployment.add_endpoints(1)
        return [*_accepting(deployment, count), *_draining(deployment, count)]
    finally:
        deployment.workspace_id, deployment.token = theirs


def _accepting(deployment: Deployment, count: int) -> Iterator[Figure]:
    request("POST", "/reset")
    body = json.dumps(accept_measures.EVENT).encode()
    with deployment.web(), deployment.workers():
        _warm_up(deployment, body)
        started = time.time()
        with accept_measures.cpu_seconds(deployment) as cpu:
            accept_measures.produce(deployment, "/events", body, count)
            wait_for(lambda: received() >= count)
    yield "single events, published to arrived", count / (stats()["last_at"] - started), "events/s"
    yield "single events, everything of the platform", cpu[0] / count * 1000, "CPU s per 1,000"


def _warm_up(deployment: Deployment, body: bytes) -> None:
    accept_measures.produce(deployment, "/events", body, WARM_UP)
    wait_for(lambda: received() >= WARM_UP)
    request("POST", "/reset")


def _draining(deployment: Deployment, count: int) -> Iterator[Figure]:
    request("POST", "/reset")
    deployment.accept(count // 10, "batch-request")
    waiting = deployment.pending() - count // 10 * 10
    with deployment.workers(), accept_measures.cpu_seconds(deployment) as cpu:
        wait_for(lambda: received() >= count // 10 * 10)
        wait_for(lambda: deployment.pending() <= waiting)
    arrived = stats()
    yield (
        "drain, 10 endpoints",
        arrived["received"] / (arrived["last_at"] - arrived["first_at"]),
        "deliveries/s",
    )
    yield "drain, everything of the platform", cpu[0] / count * 1000, "CPU s per 1,000"
