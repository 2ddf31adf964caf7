"""Endpoints that do nothing but fail: warned of, disabled, never silently. Time is simulated."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import insert, select, update

from tests.conftest import TESTER, Workspace
from tests.worker.attempted import attempted
from webhooks_app.core import clock, ids
from webhooks_app.core.outcomes import PLATFORM_FAILURES, Outcome, OutcomeClass
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import (
    AuditEntry,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
    EndpointState,
    Notice,
    NoticeKind,
)
from webhooks_app.endpoints import actions, auto_disable, notices
from webhooks_app.endpoints import health as health_states
from webhooks_app.endpoints.health import HealthState
from webhooks_app.extensions import db
from webhooks_app.worker import claims
from webhooks_app.worker.recording import record

WINDOW = timedelta(days=5)
HOUR = timedelta(hours=1)
URL = "http://127.0.0.1:9/"


@pytest.fixture
def start() -> datetime:
    """After whatever the test sends is due."""
    return clock.now() + timedelta(minutes=1)


def attempt(
    database: WriteDatabase, endpoint_id: str, at: datetime, kind: OutcomeClass = OutcomeClass.HTTP_5XX
) -> None:
    """One attempt of one pending delivery, as a worker claims and records it."""
    with database.begin() as connection:
        [claim] = claims.claim_due(connection, {endpoint_id: 1}, now=at, lease=timedelta(minutes=2))
    status = {OutcomeClass.HTTP_5XX: 503, OutcomeClass.HTTP_410: 410}.get(kind, 0)
    record(database, [attempted(claim, Outcome(kind, status=status), at=at)], now=at)


def fail(
    database: WriteDatabase,
    endpoint_id: str,
    start: datetime,
    hours: Iterable[float],
    kind: OutcomeClass = OutcomeClass.HTTP_5XX,
) -> None:
    for hour in hours:
        attempt(database, endpoint_id, start + hour * HOUR, kind)


def sweep(databases: Databases, now: datetime, after: timedelta = WINDOW) -> int:
    return auto_disable.warn_and_disable(databases, after=after, now=now)


def announced() -> list[NoticeKind]:
    db.session.rollback()
    return list(db.session.scalars(select(Notice.kind).order_by(Notice.created_at, Notice.id)))


def read(endpoint_id: str) -> Endpoint:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Endpoint, endpoint_id)


def state(endpoint_id: str) -> HealthState:
    db.session.rollback()
    return health_states.read(db.session(), endpoint_id)


def audited() -> list[str]:
    db.session.rollback()
    names = db.session.scalars(select(AuditEntry.action).where(AuditEntry.actor == "auto-disable"))
    return sorted(names)


def test_half_way_it_is_announced_once(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 60, 6))
    assert sweep(databases, start + 59 * HOUR) == 0

    fail(database, endpoint_id, start, [60])
    assert sweep(databases, start + 61 * HOUR) == 1
    assert sweep(databases, start + 62 * HOUR) == 0

    assert announced() == [NoticeKind.WARNING]
    assert read(endpoint_id).is_enabled
    assert audited() == ["endpoint.warning"]
    banner = notices.for_endpoint(db.session(), read(endpoint_id))
    assert banner is not None
    failing_since = read(endpoint_id).health.failing_since
    assert failing_since is not None
    assert banner.disable_at == failing_since + WINDOW
    assert "Every attempt since" in banner.reason
    assert "The last one: 503 Server error." in banner.reason
    assert "replay" in banner.advice


def test_it_is_disabled_after_the_window_with_two_warnings(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    for hour in range(0, 127, 3):
        fail(database, endpoint_id, start, [hour])
        sweep(databases, start + hour * HOUR + timedelta(seconds=15))
        if not read(endpoint_id).is_enabled:
            break

    assert hour == 123  # the final warning was given 15 seconds after the failure at 108, with 12 hours to go
    assert announced() == [NoticeKind.WARNING, NoticeKind.FINAL_WARNING, NoticeKind.DISABLED]
    endpoint = read(endpoint_id)
    assert endpoint.disabled_reason is not None
    assert endpoint.disabled_reason.startswith("Every attempt since ")
    assert endpoint.disabled_reason.endswith("failed, 42 in all.")
    assert [row.state for row in db.session.scalars(select(Delivery))] == [DeliveryState.HELD]
    assert audited() == ["endpoint.disable", "endpoint.final_warning", "endpoint.warning"]
    banner = notices.for_endpoint(db.session(), endpoint)
    assert banner is not None
    assert (banner.kind, banner.disable_at) == (NoticeKind.DISABLED, None)
    assert "enable the endpoint again" in banner.advice


def test_one_failure_long_ago_disables_nothing(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, [0])

    assert [sweep(databases, start + timedelta(days=days)) for days in (3, 5, 6, 30)] == [0, 0, 0, 0]
    assert read(endpoint_id).is_enabled


def test_a_whole_schedule_of_failures_and_then_nothing_disables_nothing(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, [0, 0.1, 0.6, 2.6, 7.6, 17.6, 31.6, 51.6, 62, 75.6])

    for days in range(1, 30):
        sweep(databases, start + timedelta(days=days))

    assert announced() == [NoticeKind.WARNING]
    assert read(endpoint_id).is_enabled


def test_a_few_failures_far_apart_disable_nothing(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 9 * 24, 24))

    assert sweep(databases, start + timedelta(days=9)) == 0


def test_a_success_ends_the_countdown_and_the_next_streak_starts_anew(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(2)
    fail(database, endpoint_id, start, range(0, 111, 5))
    assert sweep(databases, start + 110 * HOUR) == 1
    attempt(database, endpoint_id, start + 111 * HOUR, OutcomeClass.SUCCESS)

    assert sweep(databases, start + 130 * HOUR) == 0
    health = read(endpoint_id).health
    assert (health.failing_since, health.failure_count) == (None, 0)
    assert notices.for_endpoint(db.session(), read(endpoint_id)) is None

    fail(database, endpoint_id, start, range(120, 185, 5))
    assert read(endpoint_id).health.failure_count == 13
    assert sweep(databases, start + 185 * HOUR) == 1
    assert announced() == [NoticeKind.FINAL_WARNING, NoticeKind.WARNING]


def test_a_sweep_that_was_dead_for_days_warns_before_it_disables(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 240, 6))

    assert sweep(databases, start + 240 * HOUR) == 1
    assert announced() == [NoticeKind.FINAL_WARNING]
    fail(database, endpoint_id, start, [246])
    assert sweep(databases, start + 246 * HOUR) == 0
    fail(database, endpoint_id, start, [252])
    assert sweep(databases, start + 252 * HOUR) == 1
    assert not read(endpoint_id).is_enabled


def test_zero_days_means_never(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 240, 6))

    assert sweep(databases, start + 240 * HOUR, after=timedelta(0)) == 0


def test_the_window_may_be_seconds(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(40)
    for second in range(16):
        if not read(endpoint_id).is_enabled:
            break
        attempt(database, endpoint_id, start + timedelta(seconds=second))
        sweep(databases, start + timedelta(seconds=second), after=timedelta(seconds=12.5))

    assert announced() == [NoticeKind.WARNING, NoticeKind.FINAL_WARNING, NoticeKind.DISABLED]


@pytest.mark.parametrize("kind", sorted(PLATFORM_FAILURES))
def test_what_is_our_own_fault_disables_nothing(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime, kind: OutcomeClass
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(30)
    fail(database, endpoint_id, start, range(0, 150, 5), kind)

    assert sweep(databases, start + 150 * HOUR) == 0


@pytest.mark.parametrize("kind", sorted(PLATFORM_FAILURES))
def test_what_is_our_own_fault_is_no_part_of_a_streak(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime, kind: OutcomeClass
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(30)
    fail(database, endpoint_id, start, range(0, 150, 7), kind)
    ours = read(endpoint_id).health
    assert (ours.failing_since, ours.failure_count, ours.last_failure_outcome) == (None, 0, kind)
    is_unreadable = kind is OutcomeClass.SECRET
    assert state(endpoint_id) is (HealthState.FAILING if is_unreadable else HealthState.DEGRADED)

    fail(database, endpoint_id, start, [150, 151])
    attempt(database, endpoint_id, start + 152 * HOUR, kind)
    fail(database, endpoint_id, start, [153])

    health = read(endpoint_id).health
    assert (health.failing_since, health.failure_count) == (start + 150 * HOUR, 3)
    assert sweep(databases, start + 153 * HOUR) == 0
    assert announced() == []


def test_after_a_success_our_own_fault_begins_no_streak(
    workspace: Workspace, database: WriteDatabase, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(4)
    fail(database, endpoint_id, start, [0])
    with database.begin() as connection:  # both in one batch
        taken = claims.claim_due(connection, {endpoint_id: 2}, now=start + HOUR, lease=timedelta(minutes=2))
    kinds = (OutcomeClass.SUCCESS, OutcomeClass.SECRET)
    batch = [
        attempted(claim, Outcome(kind), at=start + HOUR + timedelta(seconds=turn))
        for turn, (claim, kind) in enumerate(zip(taken, kinds, strict=True))
    ]
    record(database, batch, now=start + HOUR)

    health = read(endpoint_id).health
    assert (health.failing_since, health.failure_count) == (None, 0)
    attempt(database, endpoint_id, start + 2 * HOUR, OutcomeClass.SUCCESS)
    assert state(endpoint_id) is HealthState.DEGRADED  # which says so as long as others are retried


def test_several_sweeps_at_once_do_everything_once(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    names = [workspace.endpoint(URL, name=str(number)) for number in range(4)]
    workspace.send()
    for name in names:
        fail(database, name, start, range(0, 120, 10))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: sweep(databases, start + 120 * HOUR), range(6)))
    for name in names:
        fail(database, name, start, [140])
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: sweep(databases, start + 140 * HOUR), range(6)))

    assert sum(done) == 4
    assert sorted(announced()) == [NoticeKind.DISABLED] * 4 + [NoticeKind.FINAL_WARNING] * 4
    assert audited() == ["endpoint.disable"] * 4 + ["endpoint.final_warning"] * 4


def test_a_success_at_the_last_moment_undoes_the_disabling(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send(2)
    fail(database, endpoint_id, start, range(0, 120, 10))
    sweep(databases, start + 120 * HOUR)
    fail(database, endpoint_id, start, [140])
    kinds = [NoticeKind.FINAL_WARNING]
    [streak] = auto_disable._find(
        databases.read, auto_disable._HAS_FINAL_WARNING, kinds, WINDOW, now=start + 140 * HOUR
    )
    attempt(database, endpoint_id, start + 141 * HOUR, OutcomeClass.SUCCESS)

    assert not auto_disable._disable(database, streak, start + 142 * HOUR)
    assert read(endpoint_id).is_enabled
    states = {row.state for row in db.session.scalars(select(Delivery))}
    assert states == {DeliveryState.DELIVERED, DeliveryState.PENDING}
    assert "endpoint.disable" not in audited()


def test_one_sweep_takes_a_few_steps_and_the_next_goes_on(
    app: Flask, workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    count = auto_disable.STEPS_PER_SWEEP + 5
    with database.begin() as connection:
        for number in range(count):
            name = ids.new("ep")
            row = {"id": name, "workspace_id": workspace.id, "name": str(number), "url": URL}
            state = {
                "all_events": False,
                "state": EndpointState.ENABLED,
                "timeout_ms": 1,
                "created_at": start,
            }
            connection.execute(insert(Endpoint).values(row | state | {"updated_at": start}))
            health = {"failing_since": start, "last_failure_at": start + 70 * HOUR, "failure_count": 99}
            connection.execute(
                insert(EndpointHealth).values({"endpoint_id": name, "last_failure_outcome": "dns", **health})
            )

    now = start + 70 * HOUR
    assert [sweep(databases, now) for _ in range(3)] == [auto_disable.STEPS_PER_SWEEP, 5, 0]


def test_a_disabled_or_deleted_endpoint_is_left_alone(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    names = [workspace.endpoint(URL, name=str(number)) for number in range(2)]
    workspace.send()
    for name in names:
        fail(database, name, start, range(0, 80, 5))
    actions.disable(database, read(names[0]), actor=TESTER)
    actions.remove(database, read(names[1]), actor=TESTER)

    assert sweep(databases, start + 80 * HOUR) == 0
    assert notices.for_endpoint(db.session(), read(names[0])) is None


def test_enabling_starts_the_count_anew(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 120, 10))
    sweep(databases, start + 120 * HOUR)
    fail(database, endpoint_id, start, [140])
    sweep(databases, start + 140 * HOUR)
    actions.enable(database, read(endpoint_id), send_held=True, actor=TESTER)

    endpoint = read(endpoint_id)
    assert (endpoint.health.failing_since, endpoint.health.failure_count) == (None, 0)
    assert notices.for_endpoint(db.session(), endpoint) is None
    fail(database, endpoint_id, start, [150])
    assert sweep(databases, start + 150 * HOUR) == 0


def test_a_410_is_announced(workspace: Workspace, database: WriteDatabase, start: datetime) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    attempt(database, endpoint_id, start, OutcomeClass.HTTP_410)

    assert announced() == [NoticeKind.GONE]
    banner = notices.for_endpoint(db.session(), read(endpoint_id))
    assert banner is not None
    assert banner.kind is NoticeKind.GONE
    actions.enable(database, read(endpoint_id), send_held=True, actor=TESTER)
    assert notices.for_endpoint(db.session(), read(endpoint_id)) is None


def test_the_audit_says_since_when_and_until_when(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 65, 5))
    sweep(databases, start + 65 * HOUR)

    row = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "endpoint.warning")).one()
    assert (row.workspace_id, row.target) == (workspace.id, endpoint_id)
    details = json.loads(row.details)
    assert details["disable_at"] == clock.format_rfc3339(start + WINDOW)
    assert details["failing_since"] == clock.format_rfc3339(start)


def test_a_changed_window_moves_what_was_promised_only_later(
    workspace: Workspace, database: WriteDatabase, databases: Databases, start: datetime
) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    fail(database, endpoint_id, start, range(0, 130, 10))
    sweep(databases, start + 120 * HOUR)
    with database.begin() as connection:
        connection.execute(
            update(EndpointHealth).values(last_failure_at=start + timedelta(days=8), failure_count=50)
        )

    assert sweep(databases, start + timedelta(days=8), after=2 * WINDOW) == 0
    assert read(endpoint_id).is_enabled
    assert sweep(databases, start + timedelta(days=8)) == 1
