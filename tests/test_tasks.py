"""The RQ jobs: what each sets off, and what a process keeps from one to the next."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from tests.conftest import Workspace
from tests.patience import PATIENT_LIMITS
from tests.raising import raising
from tests.receivers import Receiver
from tests.waiting import has_thread, wait_for
from webhooks_app import tasks
from webhooks_app.core import clock
from webhooks_app.db import advisory_locks, index_builds
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Attempt, EndpointHealth, Heartbeat, Notice, NoticeKind, RollingUpgrade
from webhooks_app.db.rolling_upgrades import SMALL_INDEXES
from webhooks_app.extensions import db
from webhooks_app.monitoring.facts import RETENTION

pytestmark = pytest.mark.usefixtures("job_app")


def test_the_sweep_warns_of_an_endpoint_that_does_nothing_but_fail(
    workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.endpoint("https://orders.example.com/")
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(EndpointHealth).values(
                failing_since=now - timedelta(days=3),
                last_failure_at=now,
                last_failure_outcome="timeout",
                failure_count=50,
            )
        )

    tasks.sweep()

    assert db.session.scalars(select(Notice.kind)).all() == [NoticeKind.WARNING]


def test_a_job_sends_over_the_connection_of_the_one_before(workspace: Workspace, receiver: Receiver) -> None:
    workspace.endpoint(receiver.url)
    for _ in range(2):
        workspace.send()
        tasks.deliver_due()

    first, second = db.session.scalars(select(Attempt).order_by(Attempt.delivery_id))
    assert first.connect_us > 0
    assert second.connect_us == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.2)], indirect=True)
def test_a_job_outlasts_a_locked_queue(
    workspace: Workspace, receiver: Receiver, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(3)
    db.session.remove()
    with database.begin() as blocker:
        blocker.execute(text("LOCK TABLE pending_deliveries IN ACCESS EXCLUSIVE MODE"))
        release = threading.Timer(1.0, blocker.rollback)
        release.start()
        tasks.deliver_due()
        release.join()

    assert len(receiver.received) == 3


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_retention_waits_for_no_index_build(database: WriteDatabase) -> None:
    def is_done(name: str) -> bool:
        return not has_thread(f"{tasks.THREAD_PREFIX}{name}")

    upgrade = RollingUpgrade(change=SMALL_INDEXES, ends_at=clock.now() + timedelta(days=1))
    db.session.add(upgrade)
    db.session.commit()
    with advisory_locks.try_lock(database, index_builds.LOCK) as is_held:
        assert is_held
        tasks.expire()
        wait_for(lambda: is_done("expire"))
        assert db.session.scalar(select(Heartbeat.at).where(Heartbeat.name == RETENTION))
        assert not is_done("index_builds")
    wait_for(lambda: is_done("index_builds"))
    db.session.delete(upgrade)
    db.session.commit()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_sweep_that_finds_the_database_read_only_says_so_in_one_line(
    database: WriteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    with raising(database, "heartbeats", "25006"):
        tasks.sweep()
    [record] = caplog.records
    assert (record.message, record.__dict__["cause"], record.__dict__["job"]) == (
        "database_unavailable",
        "read_only",
        "sweep",
    )
    tasks.sweep()
    assert len(caplog.records) == 1
