"""A dead worker or scheduler shows; a busy one does not. Time is simulated."""

import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import func, select, text, update

from tests.conftest import Workspace
from tests.patience import PATIENT_WAKE_LIMITS
from tests.reading import json_of
from tests.receivers import Receiver
from webhooks_app import tasks
from webhooks_app.app import create_app
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import EndpointHealth, PendingDelivery
from webhooks_app.extensions import services
from webhooks_app.jobs import alarms, scheduler, task_jobs
from webhooks_app.jobs.task_jobs import EXPIRE_ID, QUEUE_NAME, SWEEP_ID, TaskJob
from webhooks_app.jobs.wake_ups import WakeUps
from webhooks_app.monitoring import facts
from webhooks_app.worker import claims
from webhooks_app.worker.engine import DeliveryEngine

URL = "http://127.0.0.1:9/"
MINUTE = timedelta(minutes=1)

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def overdue(database: WriteDatabase, now: datetime) -> timedelta | None:
    with database.begin() as connection:
        return alarms.longest_overdue(connection, now)


def test_nothing_due_is_no_wait(workspace: Workspace, database: WriteDatabase) -> None:
    now = clock.now()
    workspace.endpoint(URL)
    workspace.send()

    assert overdue(database, now - MINUTE) is None


def test_the_longest_wait_of_all_endpoints_counts(workspace: Workspace, database: WriteDatabase) -> None:
    for number in range(3):
        workspace.endpoint(URL, name=str(number))
    workspace.send(2)
    with database.begin() as connection:
        first_due_at = connection.scalars(select(func.min(PendingDelivery.next_attempt_at))).one()

    assert overdue(database, first_due_at + 5 * MINUTE) == 5 * MINUTE


def test_what_is_being_sent_is_not_waiting(workspace: Workspace, database: WriteDatabase) -> None:
    endpoint_id = workspace.endpoint(URL)
    workspace.send()
    now = clock.now()
    with database.begin() as connection:
        claims.claim_due(connection, {endpoint_id: 5}, now=now, lease=2 * MINUTE)

    assert overdue(database, now + MINUTE) is None
    assert overdue(database, now + 5 * MINUTE) == 3 * MINUTE


@pytest.mark.parametrize("column", ["last_success_at", "last_failure_at"])
def test_a_backlog_that_moves_is_no_alarm(workspace: Workspace, database: WriteDatabase, column: str) -> None:
    workspace.endpoint(URL)
    workspace.send(5)
    now = clock.now() + 60 * MINUTE
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values({column: now - timedelta(seconds=7)}))

    assert overdue(database, now) == timedelta(seconds=7)


def test_traffic_does_not_hide_a_delivery_that_is_passed_over(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    now = clock.now()
    engine.run(seconds=300)
    workspace.send()
    with database.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=now - 10 * MINUTE))

    wait = overdue(database, now + MINUTE)

    assert wait == 11 * MINUTE


@only_postgresql
def test_deliveries_that_a_lost_worker_holds_raise_the_alarm(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, databases: Databases
) -> None:
    endpoint_id = workspace.endpoint(receiver.url)
    workspace.send(3)
    with databases.write.begin() as connection:
        connection.execute(update(PendingDelivery).values(next_attempt_at=clock.now() - 10 * MINUTE))
    with databases.write.without_time_limit().begin() as lost:
        claims.claim_due(lost, {endpoint_id: 3}, now=clock.now(), lease=MINUTE)
        workspace.send(5)
        engine.run(seconds=300)

        wait = overdue(databases.write, clock.now())

    assert len(receiver.received) == 5
    assert wait is not None
    assert wait >= 10 * MINUTE


def test_the_words_say_what_to_look_at() -> None:
    now = clock.now()
    well = timedelta(seconds=20), now - timedelta(seconds=20)
    stuck = 60 * MINUTE, now - 180 * MINUTE
    day = timedelta(days=1)

    assert alarms.problems(*well, now=now, up_since=now - day) == []
    worker, silence = (each.text for each in alarms.problems(*stuck, now=now, up_since=now - day))
    assert "60 min" in worker
    assert "worker.py" in worker
    assert "3 h" in silence
    assert "scheduler" in silence


def test_a_platform_that_has_just_been_started_has_time_for_its_first_sweep() -> None:
    now = clock.now()
    for swept_at in (None, now - timedelta(days=2)):
        assert alarms.problems(None, swept_at, now=now, up_since=now - MINUTE) == []
        assert len(alarms.problems(None, swept_at, now=now, up_since=now - 10 * MINUTE)) == 1


@pytest.mark.usefixtures("job_app")
def test_the_sweep_leaves_a_heartbeat(database: WriteDatabase) -> None:
    before = clock.now()
    for _ in range(2):
        tasks.sweep()

    with database.begin() as connection:
        swept_at = facts.read(connection).swept_at
    assert swept_at is not None
    assert swept_at >= before


def test_the_periodic_jobs_are_back_after_redis_was_emptied(app: Flask, redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        periodic = scheduler.WakeUpScheduler(queue_name=QUEUE_NAME, connection=redis, job_class=TaskJob)
        for _ in range(2):
            redis.flushall()
            periodic.enqueue_jobs()
            names = {name.decode() for name in redis.zrange(periodic.scheduled_jobs_key, 0, -1)}
            assert names == {SWEEP_ID, EXPIRE_ID}


def runs_in_queue(redis: Redis) -> int:
    """How many runs are waited for; a second behind the start there is a sweep, too."""
    return [job.func_name for job in task_jobs.task_queue(redis).jobs].count(task_jobs.DELIVER_DUE)


def test_retries_that_fall_due_leave_no_jobs_behind_a_run_that_is_awake(
    app: Flask, redis_url: str, wake_ups: WakeUps
) -> None:
    with Redis.from_url(redis_url) as redis:
        periodic = scheduler.WakeUpScheduler(queue_name=QUEUE_NAME, connection=redis, job_class=TaskJob)
        periodic.wake_limits = PATIENT_WAKE_LIMITS
        wake_ups.start_run()
        wake_ups.schedule_wake_ups([clock.now() - timedelta(seconds=second) for second in range(1, 6)])
        periodic.enqueue_jobs()
        assert wake_ups.take_request()
        assert redis.zrange(periodic.scheduled_jobs_key, 0, -1) == [b"sweep", b"expire"]
        assert runs_in_queue(redis) == 0

        wake_ups.end_run(expects_more=False)
        wake_ups.schedule_wake_ups([clock.now() - timedelta(seconds=second) for second in range(1, 6)])
        periodic.enqueue_jobs()
        assert runs_in_queue(redis) == 1  # for all of them
        assert not redis.keys("rq:job:due-*")


def test_healthz_says_ok(app: Flask, workspace: Workspace, database: WriteDatabase) -> None:
    began = time.monotonic()
    alarms.record_heartbeat(database, now=clock.now())

    answer = app.test_client().get("/healthz")

    assert answer.status_code == 200
    assert json_of(answer) == json_of(answer) | {
        "status": "ok",
        "problems": [],
        "database": True,
        "redis": True,
        "overdue_seconds": 0,
    }
    assert 0 <= json_of(answer)["last_sweep_seconds"] <= time.monotonic() - began + 1


def test_healthz_raises_the_alarm(app: Flask, workspace: Workspace, database: WriteDatabase) -> None:
    workspace.endpoint(URL)
    workspace.send()
    with database.begin() as connection:
        connection.execute(
            text("UPDATE pending_deliveries SET next_attempt_at = :past"),
            {"past": _stored(database, clock.now() - 10 * MINUTE)},
        )
    services(app).started_at = clock.now() - 60 * MINUTE

    answer = app.test_client().get("/healthz")

    assert answer.status_code == 503
    assert json_of(answer)["status"] == "failing"
    assert json_of(answer)["overdue_seconds"] >= 600
    codes = [each["code"] for each in json_of(answer)["details"]]
    assert codes == ["overdue", "no_worker", "no_scheduler"]
    assert app.test_client().get("/healthz/web").status_code == 200


def _stored(database: WriteDatabase, moment: datetime) -> object:
    return int(moment.timestamp() * 1_000_000) if database.dialect.name == "sqlite" else moment


def test_without_redis_events_are_still_taken(
    app: Flask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    services(app).wake_ups = WakeUps("unix:///nowhere")
    client = app.test_client()

    answer = client.get("/healthz")

    assert (answer.status_code, json_of(answer)["redis"]) == (503, False)
    assert client.get("/healthz/web").status_code == 200


def test_without_a_database_neither_is_well(app: Flask) -> None:
    settings = replace(services(app).settings, database_url="sqlite:////nowhere/at/all.db")
    broken = create_app(settings)
    services(broken).wake_ups = services(app).wake_ups
    client = broken.test_client()

    for path in ("/healthz", "/healthz/web"):
        answer = client.get(path)
        assert (answer.status_code, json_of(answer)["database"]) == (503, False)
