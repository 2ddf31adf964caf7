"""A request's statements together end in time, on both databases."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.conftest import Workspace
from tests.patience import PATIENT_LIMITS
from tests.waiting import wait_for
from webhooks_app.db import deadlines
from webhooks_app.db.database_limits import DEFAULT_LIMITS
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.events.group_commit import GroupCommit, GroupLimits
from webhooks_app.events.submissions import NewEvent, Submission
from webhooks_app.extensions import db, services
from webhooks_app.jobs.wake_ups import WakeUps

SHORT = replace(DEFAULT_LIMITS, request_seconds=1.0)
PROMISED_SECONDS = 5.0
SLOWEST_SECONDS = 0.3  # of the following, at least
# Each takes a third of a second or more; SQLite has no statement that sleeps.
SLOW = {
    "postgresql": "SELECT pg_sleep(0.4)",
    "sqlite": """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
        SELECT max(i) FROM n
    """,
}
MANY = 100


@pytest.mark.parametrize("database_limits", [SHORT], indirect=True)
@pytest.mark.parametrize("kind", ["one transaction", "many transactions"])
def test_many_slow_statements_together_are_503_in_time(
    app: Flask, databases: Databases, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    slow = text(SLOW[databases.write.dialect.name])

    def view() -> str:
        if kind == "one transaction":
            with databases.read.connect() as connection:
                for _ in range(MANY):
                    connection.execute(slow).all()
        for _ in range(MANY):
            with databases.read.connect() as connection:
                connection.execute(slow).all()
        return "all of them"

    app.add_url_rule("/slow", view_func=view)
    began = time.monotonic()
    answer = app.test_client().get("/slow")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert time.monotonic() - began < MANY * SLOWEST_SECONDS
    assert [record.message for record in caplog.records] == ["database_unavailable"]
    wait_for(lambda: app.test_client().get("/healthz/web").status_code == 200)


def test_a_deadline_ends_with_its_block_and_does_not_become_later() -> None:
    assert deadlines.remaining() is None
    with deadlines.within(1000):
        with deadlines.within(100):
            assert 0 < (deadlines.remaining() or 0) <= 100
        with deadlines.within(10_000):
            assert 100 < (deadlines.remaining() or 0) <= 1000
        with deadlines.within(0), deadlines.within(50, renewed=True):
            assert not deadlines.is_over()
        with deadlines.within(0):
            assert deadlines.is_over()
            assert deadlines.shorten(None) == 0
    assert deadlines.shorten(3.0) == 3.0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_transaction_past_its_deadline_is_not_committed(workspace: Workspace, databases: Databases) -> None:
    with pytest.raises(OperationalError), deadlines.within(0.2):
        rename_slowly(databases.write)
    with databases.read.connect() as connection:
        assert connection.execute(text("SELECT name FROM workspaces")).scalar_one() == "Acme"


def rename_slowly(database: WriteDatabase) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE workspaces SET name = 'Late'"))
        time.sleep(0.3)


@contextmanager
def slow_inserts(database: WriteDatabase) -> Iterator[None]:
    """Each row of an event takes half a second to insert."""
    with database.begin() as connection:
        connection.exec_driver_sql("""
            CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
            CREATE TRIGGER wait BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION wait();
        """)
    try:
        yield
    finally:
        with database.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION wait CASCADE")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_waits_behind_slow_groups_is_told_in_time(
    workspace: Workspace, database: WriteDatabase, wake_ups: WakeUps
) -> None:
    limits = GroupLimits(events=1, answer_seconds=1.5, least_seconds=0.2)
    group_commit = GroupCommit(services().databases, wake_ups, limits=limits)
    event = NewEvent.of("batch-lifecycle", {"batch_id": "b1", "status": "succeeded"})

    def submit(_: int) -> tuple[bool, float]:
        began = time.monotonic()
        try:
            group_commit.accept(Submission(workspace.id, [event]))
        except OperationalError:
            return False, time.monotonic() - began
        return True, time.monotonic() - began

    with slow_inserts(database), ThreadPoolExecutor(60) as producers:
        for _ in range(5):
            outcomes = list(
                producers.map(submit, range(60))
            )  # alone, the last would have its turn after 30 s
            if any(accepted for accepted, _ in outcomes):
                break  # otherwise this process stood still before the first one's turn

    assert {accepted for accepted, _ in outcomes} == {True, False}
    assert max(seconds for _, seconds in outcomes) < 25


def test_the_defaults_keep_the_promise() -> None:
    limits = GroupLimits()
    assert limits.answer_seconds + limits.least_seconds <= PROMISED_SECONDS
    assert DEFAULT_LIMITS.request_seconds is not None
    assert DEFAULT_LIMITS.request_seconds < PROMISED_SECONDS


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_wait_for_the_pool_ends_with_the_request(databases: Databases) -> None:
    pool: Any = db.engine.pool
    with ExitStack() as held:
        for _ in range(pool.size() + pool._max_overflow):
            held.enter_context(databases.read.connect_autocommit())
        assert databases.write.pool_use() == (30, 0)
        began = time.monotonic()
        with pytest.raises(PoolTimeout), deadlines.within(0.2):
            databases.read.connect_autocommit()
        assert time.monotonic() - began < PATIENT_LIMITS.pool_seconds


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_has_a_connection_for_each_thread(databases: Databases) -> None:
    with ExitStack() as held:
        for _ in range(100):
            held.enter_context(databases.read.connect_autocommit())
        assert databases.write.pool_use()[0] == 100
