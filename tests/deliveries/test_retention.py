"""What has expired is deleted, and nothing else: both databases, simulated time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from tests.conftest import TESTER, Workspace
from tests.statements import noted_statements, told_of_statements
from tests.worker.attempted import attempt_all
from webhooks_app.accounts import workspaces as workspace_actions
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    AcceptedBatch,
    Attempt,
    AttemptRollup,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    Event,
    PendingDelivery,
    SigningSecret,
)
from webhooks_app.db.models import Workspace as WorkspaceRow
from webhooks_app.deliveries import replays, retention
from webhooks_app.deliveries.retention_batches import BatchRunner, RetentionLimits
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.jobs.wake_ups import WakeUps

URL = "http://127.0.0.1:9/"
DAY = timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    return clock.now()


def deliver(
    database: WriteDatabase,
    endpoint_id: str,
    kind: OutcomeClass = OutcomeClass.SUCCESS,
    at: datetime | None = None,
) -> None:
    """One attempt of everything that is due there."""
    attempt_all(database, endpoint_id, Outcome(kind), at or clock.now())


def count(table: type[Any]) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def counts() -> tuple[int, int, int]:
    return count(Event), count(Delivery), count(Attempt)


def test_what_is_finished_and_old_goes_with_its_attempts_and_event(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(3)
    deliver(database, endpoint_id)

    assert retention.delete_expired(databases, now=now + 89 * DAY).deliveries == 0
    assert counts() == (3, 3, 3)
    result = retention.delete_expired(databases, now=now + 91 * DAY)
    assert (result.deliveries, result.events) == (3, 3)
    assert counts() == (0, 0, 0)


@pytest.mark.parametrize("state", ["pending", "retrying", "held"])
def test_what_is_not_final_stays_with_all_of_its_event(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime, state: str
) -> None:
    finished, open_ = workspace.endpoint(URL, name="finished"), workspace.endpoint(URL, name="open")
    if state == "held":
        actions.disable(database, db.session.get_one(Endpoint, open_), actor=TESTER)
    workspace.send(2)
    deliver(database, finished)
    if state == "retrying":
        deliver(database, open_, OutcomeClass.TIMEOUT)

    assert retention.delete_expired(databases, now=now + 400 * DAY).deliveries == 2
    assert count(Event) == 2
    assert {row.endpoint_id for row in db.session.scalars(select(Delivery))} == {open_}
    assert count(Attempt) == (2 if state == "retrying" else 0)
    assert count(PendingDelivery) == (0 if state == "held" else 2)


def test_each_workspace_keeps_its_own_time(
    make_workspace: Callable[[str], Workspace], database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    brief, long = make_workspace("Brief"), make_workspace("Long")
    for each in (brief, long):
        endpoint_id = each.endpoint(URL)
        each.send()
        deliver(database, endpoint_id)
    with database.begin() as connection:
        connection.execute(update(WorkspaceRow).where(WorkspaceRow.id == brief.id).values(retention_days=7))

    retention.delete_expired(databases, now=now + 8 * DAY)

    db.session.rollback()
    assert [row.workspace_id for row in db.session.scalars(select(Delivery))] == [long.id]
    assert [row.workspace_id for row in db.session.scalars(select(Event))] == [long.id]


def test_what_was_replayed_since_is_kept_from_then_on(
    workspace: Workspace, database: WriteDatabase, databases: Databases, wake_ups: WakeUps, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    deliver(database, endpoint_id)
    delivery_id = db.session.scalars(select(Delivery.id)).one()
    replays.replay(database, wake_ups, workspace.id, delivery_id, actor=TESTER)
    deliver(database, endpoint_id, at=now + 20 * DAY)

    assert retention.delete_expired(databases, now=now + 109 * DAY).deliveries == 0
    assert retention.delete_expired(databases, now=now + 111 * DAY).deliveries == 1


def test_a_delivery_replayed_while_its_batch_was_read_stays(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(2)
    deliver(database, endpoint_id)
    names = list(db.session.scalars(select(Delivery.id)))
    replays.replay(database, wake_ups, workspace.id, names[0], actor=TESTER)

    with database.begin() as connection:
        assert retention._delete_deliveries(connection, names) == 1
    db.session.rollback()
    assert db.session.scalars(select(Delivery.state)).all() == [DeliveryState.PENDING]
    assert count(Attempt) == 1


def test_events_that_nobody_subscribed_to_go_too(
    workspace: Workspace, databases: Databases, now: datetime
) -> None:
    workspace.send(2)

    assert retention.delete_expired(databases, now=now + 91 * DAY).events == 2


def test_sums_go_after_ninety_days(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    old = {"endpoint_id": endpoint_id, "outcome": "success", "latency_bucket": 3, "count": 1}
    with database.begin() as connection:
        for age in (89, 91, 200):
            connection.execute(insert(AttemptRollup).values(hour_at=now - age * DAY, **old))

    assert retention.delete_expired(databases, now=now).rollups == 2
    assert db.session.scalars(select(AttemptRollup.hour_at)).all() == [now - 89 * DAY]


def test_a_deleted_endpoint_vanishes_after_its_last_delivery(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id, other = workspace.endpoint(URL), workspace.endpoint(URL)
    workspace.send()
    deliver(database, endpoint_id)
    actions.remove(database, db.session.get_one(Endpoint, endpoint_id), actor=TESTER)

    assert retention.delete_expired(databases, now=now + 89 * DAY).endpoints == 0
    assert retention.delete_expired(databases, now=now + 91 * DAY).endpoints == 1
    db.session.rollback()
    assert db.session.scalars(select(Endpoint.id)).all() == [other]
    assert db.session.scalars(select(EndpointHealth.endpoint_id)).all() == [other]
    assert db.session.scalars(select(SigningSecret.endpoint_id)).all() == [other]
    assert db.session.scalars(select(AttemptRollup.endpoint_id)).all() == []


def test_an_endpoint_deleted_a_moment_ago_stays_for_events_being_accepted(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint(URL))
    actions.remove(database, endpoint, actor=TESTER)

    assert retention.delete_expired(databases, now=now + timedelta(minutes=59)).endpoints == 0
    assert retention.delete_expired(databases, now=now + timedelta(minutes=61)).endpoints == 1


def test_small_batches_pass_over_what_stays(
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    now: datetime,
) -> None:
    limits = RetentionLimits(first_batch=3, largest_batch=3)
    endpoint_id = workspace.endpoint(URL)
    workspace.send(40)
    deliver(database, endpoint_id)
    kept = list(db.session.scalars(select(Delivery.id).order_by(Delivery.id)))[5:20]
    with database.begin() as connection:
        connection.execute(update(Delivery).where(Delivery.id.in_(kept)).values(state=DeliveryState.HELD))

    assert retention.delete_expired(databases, now=now + 91 * DAY, limits=limits).deliveries == 25
    db.session.rollback()
    assert list(db.session.scalars(select(Delivery.id).order_by(Delivery.id))) == kept
    assert (count(Event), count(Attempt)) == (15, 15)


def test_one_that_is_stopped_is_gone_on_with(
    workspace: Workspace,
    database: WriteDatabase,
    databases: Databases,
    now: datetime,
) -> None:
    # No disk is so slow that a batch is made smaller.
    limits = RetentionLimits(batch_seconds=3600.0, first_batch=5, largest_batch=5)
    endpoint_id = workspace.endpoint(URL)
    workspace.send(20)
    deliver(database, endpoint_id)
    turns = iter([False, False, False])

    first = retention.delete_expired(
        databases, now=now + 91 * DAY, should_stop=lambda: next(turns, True), limits=limits
    )
    assert first.deliveries == 10
    assert retention.delete_expired(databases, now=now + 91 * DAY, limits=limits).deliveries == 10
    assert counts() == (0, 0, 0)


def test_one_that_is_told_to_stop_looks_into_no_workspace(
    make_workspace: Callable[[str], Workspace], databases: Databases, now: datetime
) -> None:
    for name in ("One", "Two", "Three"):
        make_workspace(name).send()
    db.session.rollback()
    with noted_statements() as asked:
        retention.delete_expired(databases, now=now + 91 * DAY, should_stop=lambda: True)
    assert asked
    assert [each for each in asked if "FROM deliveries" in each or "FROM events" in each] == []
    assert count(Event) == 3


def test_no_batch_holds_the_lock_for_long(workspace: Workspace, databases: Databases, now: datetime) -> None:
    limits = RetentionLimits(batch_seconds=0.0)  # every batch takes longer
    batches = BatchRunner(databases, lambda: False, limits)
    for expected in (50, 25, 12, 6, 3, 1, 1):
        batches.apply(lambda connection, some: 0, ["x"])
        assert batches.size == expected


def test_nothing_is_found_by_a_scan_of_the_log(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(5)
    deliver(database, endpoint_id)
    actions.remove(database, db.session.get_one(Endpoint, endpoint_id), actor=TESTER)
    with database.begin() as connection:
        old = {"outcome": "success", "latency_bucket": 3, "count": 1, "hour_at": now - 100 * DAY}
        connection.execute(insert(AttemptRollup).values(endpoint_id=endpoint_id, **old))
    statements: list[tuple[str, Any]] = []

    def note(statement: str, parameters: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")):
            statements.append((statement, parameters))

    with told_of_statements(note):
        retention.delete_expired(databases, now=now + 91 * DAY)

    assert len(statements) >= 10
    for statement, parameters in statements:
        for line in plan(database, statement, parameters):
            for table in ("deliveries", "attempts", "events", "attempt_rollups"):
                assert not line.startswith((f"SCAN {table}", f"Seq Scan on {table}")), (statement, line)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_deliveries_of_a_batch_are_read_once_for_all_of_its_events(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint(URL)
    kept = workspace.send(10)
    with database.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        assert retention._delete_events(connection, kept) == 0
        scans = "SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'deliveries'"
        assert connection.scalar(text(scans)) == 1
    assert count(Event) == 10


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_event_that_is_sent_again_meanwhile_stays(
    workspace: Workspace, database: WriteDatabase, databases: Databases, now: datetime
) -> None:
    first, _ = workspace.send(2)
    with database.begin() as connection:  # as what sends past events does first
        wanted = select(Event.id).where(Event.id == first).with_for_update(read=True, key_share=True)
        connection.execute(wanted)
        assert retention.delete_expired(databases, now=now + 91 * DAY).events == 1
    assert db.session.scalars(select(Event.id)).all() == [first]


def plan(database: WriteDatabase, statement: str, parameters: Any) -> list[str]:
    with database.begin() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return [row[3].strip() for row in rows]
        # On tables this small a scan is cheapest, so it is shown only where no index would do.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return [row[0].strip().removeprefix("->").strip() for row in rows]


def test_a_new_workspace_keeps_payloads_for_a_month_and_the_log_for_three(database: WriteDatabase) -> None:
    workspace_id = workspace_actions.create(database, "New", actor=TESTER)

    created = db.session.get_one(WorkspaceRow, workspace_id)
    assert (created.payload_days, created.retention_days) == (30, 90)


def test_keys_of_batches_are_kept_as_long_as_the_log(
    workspace: Workspace, databases: Databases, post_batch: None
) -> None:
    now = clock.now()
    retention.delete_expired(databases, now=now + timedelta(days=89))
    assert _batch_keys() == 1
    retention.delete_expired(databases, now=now + timedelta(days=91))
    assert _batch_keys() == 0


def _batch_keys() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(AcceptedBatch)) or 0


@pytest.fixture
def post_batch(workspace: Workspace) -> None:
    event = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    workspace.app.test_client().post(
        "/api/v1/events/batch",
        json={"events": [event]},
        headers=workspace.headers | {"Idempotency-Key": "k"},
    )
