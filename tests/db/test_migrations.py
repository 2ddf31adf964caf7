"""The schema up, down and up again, with data in it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, delete, func, insert, inspect, make_url, select, text
from sqlalchemy.exc import OperationalError

from tests.accepting import accept_events
from tests.conftest import Workspace, make_settings, new_workspace
from tests.patience import patient_app
from tests.postgresql_databases import autocommit
from tests.test_packages import ROOT
from tests.waiting import wait_for
from tests.worker.attempted import attempted, attempts, claim, damage
from webhooks_app.cli.schema import downgrade, upgrade
from webhooks_app.core import clock
from webhooks_app.core.outcomes import Outcome, OutcomeClass
from webhooks_app.db import rolling_upgrades
from webhooks_app.db.database_limits import DatabaseLimits, MigrationLimits
from webhooks_app.db.models import (
    ApiToken,
    AttemptRollup,
    Delivery,
    Endpoint,
    Event,
    Member,
    RollingUpgrade,
    SigningSecret,
)
from webhooks_app.db.models.traffic_tables import TrafficCount
from webhooks_app.db.rolling_upgrades import (
    CONSTANT_HEADERS,
    PACKED_BODIES,
    PACKED_HEADS,
    PAYLOADS_APART,
    SMALL_INDEXES,
    UpgradeEnd,
)
from webhooks_app.endpoints.destinations import Destination
from webhooks_app.events.submissions import NewEvent
from webhooks_app.extensions import db, services
from webhooks_app.monitoring.stored_formats import StoredFormat
from webhooks_app.worker import signed_requests
from webhooks_app.worker.claimed_delivery import ClaimedDelivery
from webhooks_app.worker.constant_headers import StoredHeaders
from webhooks_app.worker.recording import record

LOG = {"deliveries", "attempts", "events"}
HEAD = b"HTTP/1.1 200 OK\r\nx-first: \xff\r\n\r\n"
ANSWERED = Outcome(OutcomeClass.SUCCESS, status=200, response_headers=HEAD)

# It then sleeps after each page, of which there are 250.
FOR_A_LONG_VACUUM = (
    """
    ALTER TABLE events SET (
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1
    )
    """,
    """
    INSERT INTO events (id, workspace_id, type, body, created_at)
    SELECT 'evt_' || number, id, 'a', CAST(repeat('x', 1900) AS bytea), now()
    FROM workspaces, generate_series(1, 1000) AS number
    """,
    "DELETE FROM events WHERE CAST(substr(id, 5) AS integer) % 2 = 0",
)


@pytest.mark.parametrize("has_events", [False, True])
def test_what_is_in_it_stays_through_a_downgrade(
    has_events: bool, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    app = patient_app(make_settings(sqlite_url, redis_url, tmp_path))
    with app.app_context():
        _fill(new_workspace(app, "Acme"), has_events)
        before = _counts(app)
        downgrade(revision="0001")
        upgrade()
        assert _counts(app) == before
        db.session.remove()
        db.engine.dispose()


def test_the_schema_has_the_tables_of_the_models(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    migrated = {*inspect(engine).get_table_names()} - {"alembic_version"}
    engine.dispose()
    # In a process of its own, as this one may have imported a table's module that the models leave out.
    program = "from webhooks_app.db.models import METADATA; print(*METADATA.tables)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=180
    )
    assert {*done.stdout.split()} == migrated


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_one_revision_waits_for_does_not_hold_the_locks_of_those_before(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with own_database(database_url) as url:
        app = patient_app(make_settings(url, redis_url, tmp_path))
        app.config["MIGRATION_LIMITS"] = MigrationLimits(lock_seconds=0.1, pause_seconds=0, attempts=1)
        with app.app_context():
            upgrade()
            downgrade(revision="0020")
            with db.engine.begin() as reading:
                reading.execute(select(func.count()).select_from(text("api_tokens")))  # of which 0022 is
                with pytest.raises(OperationalError):
                    upgrade()
            with db.engine.connect() as connection:
                assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0021"
            upgrade()
            db.engine.dispose()


def test_counts_are_made_of_what_charts_still_show(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    app = patient_app(make_settings(sqlite_url, redis_url, tmp_path))
    with app.app_context():
        endpoint_id = new_workspace(app, "Acme").endpoint("https://a.example.com/")
        hour = clock.now().replace(minute=0, second=0, microsecond=0)
        downgrade(revision="0014")
        with db.engine.begin() as connection:
            for days in (1, 60):
                row = {
                    "endpoint_id": endpoint_id,
                    "hour_at": hour - timedelta(days=days),
                    "count": 7,
                    "latency_bucket": 3,
                }
                connection.execute(insert(AttemptRollup).values(outcome="success", **row))
        upgrade()
        with db.engine.connect() as connection:
            found = connection.execute(select(TrafficCount.starts_at, TrafficCount.count)).all()
        assert [tuple(each) for each in found] == [(hour - timedelta(days=1), 7)] * 2
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_autovacuum_that_takes_its_time_is_ended(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with own_database(database_url) as url, _eager_autovacuum(database_url):
        app = patient_app(make_settings(url, redis_url, tmp_path))
        app.config["MIGRATION_LIMITS"] = MigrationLimits(pause_seconds=0, attempts=60)
        with app.app_context():
            upgrade()
            new_workspace(app, "Acme")
            downgrade(revision="0027")
            autocommit(url, *FOR_A_LONG_VACUUM)
            wait_for(lambda: _is_vacuumed(url))
            upgrade()  # of which 0028 is about this table
            db.session.remove()
            db.engine.dispose()


@pytest.mark.parametrize(("deadlock_seconds", "seconds"), [(1.0, 1.3), (0.2, 0.8), (2.7, 3.0), (3.0, 0.8)])
def test_a_try_past_the_deadlock_timeout_is_shorter_than_others_wait(
    deadlock_seconds: float, seconds: float
) -> None:
    limits = MigrationLimits()
    assert limits.seconds_past(deadlock_seconds) == pytest.approx(seconds)
    assert limits.longest_lock_seconds < DatabaseLimits().lock_seconds


def test_packed_headers_are_unpacked_by_a_downgrade_and_packed_again_a_day_later(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    app = patient_app(make_settings(sqlite_url, redis_url, tmp_path))
    with app.app_context():
        database = services().write
        assert UpgradeEnd(database.begin, PACKED_HEADS).is_over(clock.now())
        _fill(new_workspace(app, "Acme"), has_events=True)
        headers = f'[["x-first","{"z" * 300}"]]'
        some = [attempted(each, ANSWERED, headers=headers) for each in claim(database, 3)]
        record(database, some, now=clock.now(), is_packed=True)
        [before] = {(each.request_headers, each.response_headers) for each in attempts()}

        downgrade(revision="0022")
        plain = text("SELECT DISTINCT request_headers, response_headers FROM attempts")
        with db.engine.connect() as connection:
            assert [tuple(row) for row in connection.execute(plain)] == [before] == [(headers, HEAD)]

        upgrade()
        assert [(each.request_headers, each.response_headers) for each in attempts()] == [before] * 3
        for change in (PACKED_HEADS, PAYLOADS_APART, PACKED_BODIES, CONSTANT_HEADERS):
            upgrading = UpgradeEnd(database.begin, change)
            assert not upgrading.is_over(clock.now() + timedelta(hours=23))
            assert upgrading.is_over(clock.now() + timedelta(hours=25))
        db.session.remove()
        db.engine.dispose()


def test_only_a_new_database_waits_for_no_code_before(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    app = patient_app(make_settings(sqlite_url, redis_url, tmp_path))
    with app.app_context():
        assert _ends(PAYLOADS_APART, SMALL_INDEXES) == []
        [at_once] = _ends(PACKED_BODIES)
        assert at_once <= clock.now()
        # Workers of the previous version may run on one that has not seen an event yet.
        downgrade(revision="0030")
        upgrade()
        ends = _ends(PAYLOADS_APART, PACKED_BODIES)
        assert len(ends) == 2
        assert min(ends) > clock.now() + timedelta(hours=23)
        # As such an upgrade left it before.
        downgrade(revision="0034")
        with db.engine.begin() as connection:
            connection.execute(delete(RollingUpgrade).where(RollingUpgrade.change == PACKED_BODIES))
        upgrade()
        assert len(_ends(PACKED_BODIES)) == 1
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_indexes_of_the_code_before_stay_for_a_day_where_there_is_no_event_yet(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with own_database(database_url) as url:
        app = patient_app(make_settings(url, redis_url, tmp_path))
        with app.app_context():
            upgrade()
            assert _ends(SMALL_INDEXES) == []
            downgrade(revision="0031")
            upgrade()
            assert len(_ends(SMALL_INDEXES)) == 1
            db.engine.dispose()


def _ends(*changes: str) -> list[datetime]:
    with db.engine.connect() as connection:
        ends = [rolling_upgrades.read_end_of_old_code(connection, each) for each in changes]
    return [each for each in ends if each is not None]


def test_packed_bodies_are_unpacked_by_a_downgrade(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    app = patient_app(make_settings(sqlite_url, redis_url, tmp_path))
    with app.app_context():
        workspace = new_workspace(app, "Acme")
        event = NewEvent.of("batch-request", {"batch_id": "b"})
        accepting = services().write, services().wake_ups
        for stored_format in (StoredFormat.PACKED_BODIES, StoredFormat.PLAIN):
            accept_events(*accepting, workspace.id, [event], stored_format=stored_format)
        stored = text("SELECT body FROM events ORDER BY length(body)")
        with db.engine.connect() as connection:
            [packed, plain] = connection.scalars(stored)
            bodies = connection.scalars(select(Event.body)).all()
        assert (packed[0], plain[:1]) == (1, b"{")
        [damaged] = accept_events(services().write, services().wake_ups, workspace.id, [event])
        damage(services().write, damaged.id)
        downgrade(revision="0032")
        with db.engine.connect() as connection:
            assert sorted(connection.scalars(stored)) == sorted([*bodies, b""])
        db.session.remove()
        db.engine.dispose()


def test_headers_that_attempts_refer_to_are_theirs_again_after_a_downgrade(
    sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    app = patient_app(make_settings(sqlite_url, redis_url, tmp_path))
    with app.app_context():
        database = services().write
        workspace = new_workspace(app, "Acme")
        _fill(workspace, has_events=True)
        some = [_signed(each) for each in claim(database, 3)]
        digests = StoredHeaders(database).digests(some)
        record(database, some[:2], now=clock.now(), is_packed=True, constant_digests=digests)
        record(database, some[2:], now=clock.now(), is_packed=True)
        before = [(each.request_headers, each.response_headers) for each in attempts()]
        assert [each.headers_digest is None for each in attempts()] == [False, False, True]
        values = {("b1",), ("b2", "failed"), ("B3", "failed")}
        events = [NewEvent.of("batch-lifecycle", {}, each) for each in values]
        for stored_format in StoredFormat:
            accept_events(database, services().wake_ups, workspace.id, events, stored_format=stored_format)

        downgrade(revision="0035")
        with db.engine.connect() as connection:
            lists = [tuple(each or ()) for each in connection.scalars(select(Event.indexed_values))]
            assert [lists.count(each) for each in values] == [len(StoredFormat)] * 3
            versions = connection.scalars(text("SELECT substr(packed_heads, 1, 1) FROM attempts")).all()
        assert versions == [b"\1"] * 3
        upgrade()
        assert [(each.request_headers, each.response_headers) for each in attempts()] == before
        db.session.remove()
        db.engine.dispose()


def _signed(claimed: ClaimedDelivery) -> ClaimedDelivery:
    keys = ((b"k" * 32, None),)
    destination = Destination("https://a.example.com/", 1000, keys, (), ',["a","b"]', None)
    now = clock.now()
    _, headers = signed_requests.sign(claimed.delivery_id, destination, [b"k" * 32], b"{}", now=now)
    claimed.constant_headers = destination.logged_headers
    return attempted(claimed, ANSWERED, at=now, headers=headers)


@contextmanager
def own_database(server_url: str) -> Iterator[str]:
    url = make_url(server_url)
    name = f"{url.database}_migrated"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
            yield url.set(database=name).render_as_string(hide_password=False)
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        server.dispose()


@contextmanager
def _eager_autovacuum(server_url: str) -> Iterator[None]:
    """Have the server's autovacuum look each second; in the tests' own database it finds nothing to do."""
    server = create_engine(server_url)
    with server.connect() as connection:
        was_on = connection.exec_driver_sql("SHOW autovacuum").scalar_one()
    server.dispose()
    reload = "SELECT pg_reload_conf()"
    eager = ("ALTER SYSTEM SET autovacuum = on", "ALTER SYSTEM SET autovacuum_naptime = 1")
    autocommit(server_url, "SELECT pg_stat_reset()", *eager, reload)
    try:
        yield
    finally:
        before = (f"ALTER SYSTEM SET autovacuum = {was_on}", "ALTER SYSTEM RESET autovacuum_naptime")
        autocommit(server_url, *before, reload)


def _is_vacuumed(url: str) -> bool:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT 1 FROM pg_stat_progress_vacuum WHERE relid = 'events'::regclass"
        )
        is_vacuumed = found.first() is not None
    engine.dispose()
    return is_vacuumed


def _fill(workspace: Workspace, has_events: bool) -> None:
    workspace.endpoint("https://a.example.com/")
    if has_events:
        workspace.send(3)


def _counts(_app: Flask) -> dict[str, int]:
    db.session.rollback()
    return {
        model.__tablename__: db.session.scalar(select(func.count()).select_from(model)) or 0
        for model in (Member, ApiToken, Endpoint, SigningSecret, Delivery)
    }


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_tables_of_the_log_are_vacuumed_by_their_own_measures(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    options = text(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND CAST(reloptions AS text) LIKE '%vacuum%'"
    )
    with own_database(database_url) as url:
        app = patient_app(make_settings(url, redis_url, tmp_path))
        with app.app_context():
            upgrade()
            with db.engine.connect() as connection:
                assert set(connection.scalars(options)) == {*LOG, "pending_deliveries"}
            downgrade(revision="0027")
            with db.engine.connect() as connection:
                assert set(connection.scalars(options)) == {"pending_deliveries"}
            db.engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_was_sampled_of_payloads_goes_and_is_not_sampled_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    sampled = text("SELECT attname FROM pg_stats WHERE tablename IN ('events', 'attempts')")
    payload = {"body", "indexed_values", "request_headers", "response_headers", "response_body"}
    with own_database(database_url) as url:
        app = patient_app(make_settings(url, redis_url, tmp_path))
        with app.app_context():
            upgrade()
            _fill(new_workspace(app, "Acme"), has_events=True)
            record(
                services().write,
                [
                    attempted(each, replace(ANSWERED, response_body=b"{}"))
                    for each in claim(services().write, 3)
                ],
                now=clock.now(),
            )
            downgrade(revision="0028")
            _analyze()
            with db.engine.connect() as connection:
                assert payload - set(connection.scalars(sampled)) <= {"indexed_values"}  # json has no order
            upgrade()
            with db.engine.connect() as connection:
                assert not set(connection.scalars(sampled)) & payload
            _analyze()
            with db.engine.connect() as connection:
                rest = set(connection.scalars(sampled))
            assert not rest & payload
            assert "first_value" in rest
            db.session.remove()
            db.engine.dispose()


def _analyze() -> None:
    with db.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
