"""However long the log: nothing on the way of a delivery or of a page reads all of it."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text

from tests.conftest import TESTER, Workspace
from tests.statements import told_of_statements
from webhooks_app.core import clock, ids
from webhooks_app.db import claim_sql, index_builds
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.event_conditions import of_event
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, Event, PendingDelivery
from webhooks_app.db.models.event_tables import VALUE_COLUMNS
from webhooks_app.deliveries import cancellations, replays, retention
from webhooks_app.deliveries.log import delivery_list, event_content, filters
from webhooks_app.deliveries.log.rows import DeliveryRow
from webhooks_app.endpoints import endpoint_list, health, incidents, waiting_counts
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.worker import claims, endpoint_scan

ROWS = 20_000
PENDING = 400
DAYS = 30
LOOKING = ("SELECT", "UPDATE", "DELETE", "WITH", "INSERT INTO PENDING")
SCANS = {"sqlite": r"SCAN (deliveries|events)", "postgresql": r"Seq Scan on (deliveries|events)"}


def fill(database: WriteDatabase, workspace: Workspace) -> list[str]:
    """A month of deliveries, most of them delivered; the endpoints' ids."""
    chance = random.Random(7)
    endpoints = [workspace.endpoint(f"https://e{each}.example.com/") for each in range(8)]
    start, step = clock.now() - timedelta(days=DAYS), timedelta(days=DAYS) / ROWS
    events, deliveries = [], []
    for position in range(ROWS):
        at = start + step * position
        name = ids.floor("x", at)[2:]
        shared = {"workspace_id": workspace.id, "created_at": at}
        value = dict.fromkeys(VALUE_COLUMNS) | {VALUE_COLUMNS[position % 3]: f"b{position % 100}"}
        events.append(
            shared | {"id": f"evt_{name}", "type": "batch-lifecycle", "body": b'{"data":"x"}'} | value
        )
        deliveries.append(
            shared | _delivery(name, position, chance) | {"endpoint_id": chance.choice(endpoints)}
        )
    waiting = [row for row in deliveries if row["state"] is DeliveryState.PENDING]
    names = ("endpoint_id", "event_id", "generation", "tries")
    queue = [
        {name: row[name] for name in names}
        | {"delivery_id": row["id"], "next_attempt_at": row["created_at"], "lapses": 0}
        for row in waiting
    ]
    with database.without_time_limit().begin() as connection:
        connection.execute(insert(Event), events)
        connection.execute(insert(Delivery), deliveries)
        connection.execute(insert(PendingDelivery), queue)
    with database.without_time_limit().begin() as connection:
        connection.execute(text("ANALYZE"))
    return endpoints


def _delivery(name: str, position: int, chance: random.Random) -> dict[str, Any]:
    state, outcome = DeliveryState.DELIVERED, "success"
    if position >= ROWS - PENDING:
        state, outcome = DeliveryState.PENDING, "http_5xx"
    elif chance.random() < 0.03:
        state, outcome = DeliveryState.FAILED, chance.choice(["timeout", "http_4xx"])
    return {
        "id": f"dlv_{name}",
        "event_id": f"evt_{name}",
        "event_type": chance.choice(["batch-lifecycle", "batch-request"]),
        "state": state,
        "last_outcome": outcome,
        "generation": 1,
        "attempt_count": 1,
        "tries": 1,
    }


@contextmanager
def statements(database: WriteDatabase) -> Iterator[list[tuple[str, Any]]]:
    """What is executed meanwhile, with its parameters as the driver gets them."""
    caught: list[tuple[str, Any]] = []

    def catch(statement: str, values: Any) -> None:
        if (
            statement.lstrip()
            .upper()
            .startswith(("SELECT", "UPDATE", "DELETE", "WITH", "INSERT INTO PENDING"))
        ):
            caught.append((statement, values))

    with told_of_statements(catch):
        yield caught


def plan(connection: Connection, statement: str, values: Any) -> str:
    explain = "EXPLAIN QUERY PLAN"
    if connection.dialect.name == "postgresql":
        explain = "EXPLAIN"
        # Where whole tables are not to be read, a whole index may be, which looks the same here.
        connection.execute(text("SET LOCAL enable_seqscan TO DEFAULT"))
    rows = connection.exec_driver_sql(f"{explain} {statement}", values).all()
    return "\n".join(str(row[-1]) for row in rows)


def read_pages(workspace: Workspace, endpoint_id: str, delivery: DeliveryRow) -> None:
    """The log with every single filter, its newest page, one deep inside, and back."""
    all_arguments: list[dict[str, str]] = [
        {},
        {"endpoint": endpoint_id},
        *({"status": str(status)} for status in filters.STATUSES),
        {"event_type": "batch-request"},
        *({"traffic": str(name)} for name in filters.TRAFFIC),
        {"recovery": ids.new("rcv")},
        *({"response": name} for name in filters.RESPONSES),
        *({"range": name} for name in filters.RANGES),
        {"q": delivery.id},
        {"q": delivery.event_id},
        {"q": "no such text"},
        {"q": "b1"},
        {"q": "b1", "status": "failed"},
        {"endpoint": endpoint_id, "status": "failed"},
        {"endpoint": endpoint_id, "response": "timeout"},
        {"endpoint": endpoint_id, "traffic": "test"},
    ]
    for arguments in all_arguments:
        wanted = filters.parse(arguments)
        for before, after in (("", ""), (delivery.id, ""), ("", delivery.id)):
            delivery_list.read_page(
                db.session(), workspace.id, wanted, now=clock.now(), before=before, after=after
            )
        delivery_list.count_newer(db.session(), workspace.id, wanted, delivery.id, now=clock.now())
    event_content.read_event_content(db.session(), delivery.event_id)
    db.session.execute(select(Delivery.id).where(of_event(delivery.event_id)))


def read_health(workspace: Workspace, endpoint_id: str) -> None:
    """The list of endpoints, and an outage with a streak of failures and without one."""
    session = db.session()
    endpoint_list.read_page(session, workspace.id, endpoint_list.EndpointFilter(), now=clock.now())
    health.count_states(session, workspace.id)
    health.read_failing(session, workspace.id)
    endpoint = session.get_one(Endpoint, endpoint_id)
    for failing_since in (clock.now() - timedelta(days=9), None):
        endpoint.health.failing_since = failing_since
        endpoint.health.last_success_at = clock.now() - timedelta(days=10)
        endpoint.health.last_failure_at = clock.now()
        assert incidents.read(session, endpoint, health.HealthState.FAILING)
    waiting_counts.read_backlog(session, endpoint_id)
    waiting_counts.has_failed(session, endpoint_id)
    session.rollback()


def act_on(database: WriteDatabase, wake_ups: WakeUps, workspace: Workspace, delivery_ids: list[str]) -> None:
    """Replays a page of finished ones and of waiting ones, then cancels one."""
    replays.replay_several(database, wake_ups, workspace.id, delivery_ids, actor=TESTER)
    replays.replay(database, wake_ups, workspace.id, delivery_ids[0], actor=TESTER)
    cancellations.cancel(database, workspace.id, delivery_ids[-1], actor=TESTER)


def test_nothing_scans_the_deliveries(
    workspace: Workspace, database: WriteDatabase, databases: Databases, wake_ups: WakeUps
) -> None:
    endpoint_id = fill(database, workspace)[0]
    failed = delivery_list.read_page(
        db.session(), workspace.id, filters.parse({"status": "failed"}), now=clock.now()
    ).rows
    waiting = db.session.scalars(select(PendingDelivery.delivery_id).limit(25)).all()
    delivery = failed[-1]
    steps = count()

    with statements(database) as caught:
        read_pages(workspace, endpoint_id, delivery)
        db.session.rollback()
        read_health(workspace, endpoint_id)
        with database.begin() as connection:
            due = endpoint_scan.scan(connection, after="", count=1000)
            quotas = dict.fromkeys([endpoint.endpoint_id for endpoint in due], 4)
            claims.claim_due(connection, quotas, now=clock.now(), lease=timedelta(seconds=60))
        act_on(database, wake_ups, workspace, [*(row.id for row in failed), *waiting])
        retention.delete_expired(
            databases, now=clock.now() + timedelta(days=1), should_stop=lambda: next(steps) > 8
        )

    assert len(due) == 8
    assert len(caught) > 100
    scan = SCANS[database.dialect.name]
    with database.begin() as connection:
        plans = {statement: plan(connection, statement, values) for statement, values in caught}
    assert [statement[:1000] for statement, found in plans.items() if re.search(scan, found)] == []
    named = ["ix_deliveries_workspace_trouble", "ix_deliveries_test", "ix_deliveries_recovery"]
    if database.dialect.name == "postgresql":
        named += [name for change in index_builds.CHANGES for name in change.new]
    assert [name for name in named if not any(name in found for found in plans.values())] == []


def test_an_accept_passes_by_the_deleted_endpoints(workspace: Workspace, database: WriteDatabase) -> None:
    living = workspace.endpoint("https://living.example.com/")
    with database.begin() as connection:
        columns = select(Endpoint.__table__).where(Endpoint.id == living)
        row = dict(connection.execute(columns).mappings().one())
        dead = [row | {"id": ids.new("ep"), "deleted_at": clock.now()} for _ in range(2000)]
        connection.execute(insert(Endpoint), dead)
        connection.execute(text("ANALYZE"))

    with statements(database) as caught:
        workspace.send()

    with database.begin() as connection:
        plans = [plan(connection, *each) for each in caught if "subscriptions" in each[0]]
    assert len(plans) == 1
    assert "ix_endpoints_live" in plans[0]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("workspace")
def test_a_claim_that_was_planned_for_an_empty_queue_reads_it_by_its_index(database: WriteDatabase) -> None:
    statement = claim_sql.CLAIM_UNSCANNED["postgresql"]
    values = {"endpoint_ids": "[]", "quota": 1, "leases_to_isolate": 2}
    values |= {"now": clock.now(), "lease_ends_at": clock.now()}
    with database.begin() as connection:
        connection.execute(text("ANALYZE pending_deliveries"))
        rows = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars()
        found = "\n".join(rows)
    assert "ix_pending_deliveries_due" in found
    assert "Seq Scan" not in found
