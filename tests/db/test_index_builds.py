"""An upgrade builds indexes beside writers, and keeps those that the previous version needs meanwhile."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url, text

from tests.conftest import make_settings, new_workspace
from tests.db.test_migrations import own_database
from tests.docs_site.code_blocks import block
from tests.patience import patient_app
from tests.postgresql_databases import autocommit
from tests.waiting import wait_for
from webhooks_app.cli.schema import downgrade, upgrade
from webhooks_app.core import clock
from webhooks_app.db import index_builds
from webhooks_app.db.engines import WriteDatabase, databases_of, open_engine
from webhooks_app.db.index_builds import IndexLimits
from webhooks_app.extensions import db, services

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
SMALL = {name for change in index_builds.CHANGES for name in change.new}
BETWEEN = "ix_deliveries_by_event"  # of code between those that have the others
REPLACED = {name for change in index_builds.CHANGES for name in change.replaced} - {BETWEEN}
FIRST_OF_OLD = "CREATE INDEX CONCURRENTLY ix_deliveries_event ON deliveries (event_id);"
MANY_EVENTS = """
    INSERT INTO events (id, workspace_id, type, body, created_at)
    SELECT 'evt_' || lpad(number::text, 26, '0'), id, 'a', 'b', now()
    FROM workspaces, generate_series(1, 50000) AS number
"""
ONE_EVENT = text("""
    INSERT INTO events (id, workspace_id, type, body, created_at)
    SELECT :id, id, 'a', 'b', now() FROM workspaces
""")


@pytest.fixture
def upgraded_url(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """A database that had an event when it was upgraded to these indexes."""
    with own_database(database_url) as url:
        app = patient_app(make_settings(url, redis_url, tmp_path))
        with app.app_context():
            upgrade()
            assert _indexes() == SMALL
            workspace = new_workspace(app, "Acme")
            workspace.endpoint("https://a.example.com/")
            downgrade(revision="0031")
            assert _indexes() == REPLACED
            workspace.send(3)
            upgrade()
            yield url
            db.session.remove()
            db.engine.dispose()


def test_new_ones_are_built_and_old_ones_dropped_a_day_later(upgraded_url: str) -> None:
    assert _indexes() == REPLACED
    assert _unfinished() == timedelta()
    index_builds.bring_up_to_date(services().write, now=clock.now())
    assert _indexes() == SMALL | REPLACED
    assert _unfinished() == -timedelta(days=1)
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    assert _indexes() == SMALL
    assert _unfinished() is None
    # From now on it is left alone, whatever is done to it by hand.
    autocommit(upgraded_url, "DROP INDEX ix_deliveries_by_type")
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    assert _indexes() == SMALL - {"ix_deliveries_by_type"}


def test_what_the_version_before_has_or_was_to_build_gives_way(upgraded_url: str) -> None:
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    downgrade(revision="0037")
    assert _indexes() == SMALL - set(index_builds.SMALL_OF_EVENT)
    assert _is_there(BETWEEN)
    waiting = "INSERT INTO rolling_upgrades VALUES ('small_event_index', now() + interval '1 hour')"
    autocommit(upgraded_url, waiting)
    upgrade()
    index_builds.bring_up_to_date(services().write, now=clock.now())
    assert _indexes() == SMALL
    assert _is_there(BETWEEN)
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    assert _indexes() == SMALL
    assert not _is_there(BETWEEN)
    assert _unfinished() is None


def test_who_goes_back_later_makes_those_of_the_code_before_as_the_documents_say(upgraded_url: str) -> None:
    before = _definitions()
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    assert _definitions() == set()
    autocommit(upgraded_url, *block("docs/production.md", FIRST_OF_OLD).strip().removesuffix(";").split(";"))
    assert _definitions() == before
    assert _is_there(BETWEEN)


def test_one_that_was_given_up_half_way_is_built_anew(upgraded_url: str) -> None:
    index_builds.bring_up_to_date(services().write, now=clock.now())
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_events_by_workspace'::regclass"
    autocommit(upgraded_url, invalid)
    assert _indexes() == SMALL - {"ix_events_by_workspace"} | REPLACED
    index_builds.bring_up_to_date(services().write, now=clock.now())
    assert _indexes() == SMALL | REPLACED


def test_two_that_build_at_once_beside_a_writer_build_each_index_once(upgraded_url: str) -> None:
    autocommit(upgraded_url, MANY_EVENTS)
    database, writer = services().write, threading.Event()
    waiting: list[str] = []

    def build() -> set[str]:
        tell = partial(waiting.append, "waiting")
        limits = IndexLimits(deadlocks=0)
        index_builds.bring_up_to_date(database, now=clock.now(), tell_waiting=tell, limits=limits)
        with database.begin() as connection:
            return _valid(connection)

    with ThreadPoolExecutor(3) as threads:
        writing = threads.submit(_write_until, writer, database)
        found = [threads.submit(build) for _ in range(2)]
        try:
            assert [each.result(120) for each in found] == [SMALL | REPLACED] * 2
        finally:
            writer.set()
        assert writing.result() > 0
    assert len(waiting) <= 1


def test_whoever_waits_builds_on_no_table_meanwhile_and_has_no_snapshot_that_a_build_waits_for(
    upgraded_url: str,
) -> None:
    is_first_there, is_first_over = threading.Event(), threading.Event()
    database, engine = services().write, open_engine(upgraded_url, waits_for_disk=True)
    kept: list[int] = []

    def stop_when_told() -> bool:
        is_first_there.set()
        return is_first_over.wait(60)

    def stop_where_a_snapshot_is_kept() -> bool:
        kept.append(_count_kept_snapshots(database))
        return any(kept)  # or both would wait for ever

    with ThreadPoolExecutor(2) as threads:
        build = partial(index_builds.bring_up_to_date, now=clock.now())
        first = threads.submit(build, database, should_stop=stop_when_told)
        assert is_first_there.wait(120)
        limits = IndexLimits(pause_seconds=0.01)
        other = databases_of(engine).write  # with connections of its own, as another process has
        second = threads.submit(build, other, should_stop=stop_where_a_snapshot_is_kept, limits=limits)
        try:
            # More often than a statement is run before the driver prepares it.
            wait_for(lambda: second.done() or len(kept) >= 20)
            assert _indexes() == REPLACED
        finally:
            is_first_over.set()
        first.result(60)
        second.result(60)
    engine.dispose()
    assert set(kept) == {0}
    assert _indexes() == SMALL | REPLACED


def test_what_a_killed_process_had_begun_is_waited_for_unless_told_to_stop(upgraded_url: str) -> None:
    database, is_waiting = services().write, threading.Event()
    with database.without_time_limit().begin() as older, ThreadPoolExecutor(2) as threads:
        older.execute(text("SELECT 1 FROM events LIMIT 1"))
        older.execute(text("LOCK TABLE deliveries IN ROW EXCLUSIVE MODE"))
        name = "ix_deliveries_by_workspace"
        threads.submit(
            autocommit, upgraded_url, f"CREATE INDEX CONCURRENTLY {name} ON {index_builds.SMALL[name]}"
        )
        wait_for(_is_being_built)
        later = clock.now() + timedelta(hours=25)
        is_told = threading.Event()
        index_builds.bring_up_to_date(
            database, now=later, should_stop=is_told.is_set, tell_waiting=is_told.set
        )
        building = threads.submit(
            index_builds.bring_up_to_date, database, now=later, tell_waiting=is_waiting.set
        )
        assert is_waiting.wait(120)
        # An index that is only being built replaces none.
        assert _indexes() == REPLACED
        older.rollback()
        building.result(60)
    assert _indexes() == SMALL


def test_an_old_one_that_somebody_reads_stays_until_the_next_time(
    upgraded_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    later = clock.now() + timedelta(hours=25)
    index_builds.bring_up_to_date(services().write, now=clock.now())
    limits = IndexLimits(drop_lock_seconds=0.2)
    with db.engine.begin() as reader:
        reader.execute(text("SELECT 1 FROM deliveries LIMIT 1"))
        index_builds.bring_up_to_date(services().write, now=later, limits=limits)
        assert "index_not_dropped" in [each.message for each in caplog.records]
        assert _indexes() >= SMALL
    index_builds.bring_up_to_date(services().write, now=later, limits=limits)
    assert _indexes() == SMALL


def test_a_build_takes_longer_than_statements_of_the_role_may(upgraded_url: str) -> None:
    name = make_url(upgraded_url).database
    autocommit(upgraded_url, f'ALTER DATABASE "{name}" SET statement_timeout = 1000')
    database = services().write.without_time_limit()
    with ThreadPoolExecutor(1) as threads, database.begin() as older:
        older.execute(text("LOCK TABLE deliveries IN ROW EXCLUSIVE MODE"))
        building = threads.submit(index_builds.bring_up_to_date, database, now=clock.now())
        wait_for(lambda: building.done() or _has_run_for_long())
        older.rollback()
        building.result(60)
    assert _indexes() == SMALL | REPLACED


def _write_until(is_over: threading.Event, database: WriteDatabase) -> int:
    """Insert events, one after the other; return how many."""
    count = 0
    while not is_over.is_set():
        with database.begin() as connection:
            connection.execute(ONE_EVENT, {"id": f"evt_{count:027}"})
        count += 1
    return count


def _is_being_built() -> bool:
    builds = text("SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()")
    with db.engine.connect() as connection:
        return bool(connection.scalar(builds))


def _has_run_for_long() -> bool:
    builds = text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND clock_timestamp() > query_start + interval '1.1 s'
            AND datname = current_database()
    """)
    with db.engine.connect() as connection:
        return bool(connection.scalar(builds))


def _definitions() -> set[str]:
    """Those of the indexes that others replace."""
    found = text("SELECT indexdef FROM pg_indexes WHERE indexname = ANY(:names)")
    with db.engine.connect() as connection:
        return set(connection.scalars(found, {"names": list(REPLACED)}))


def _count_kept_snapshots(database: WriteDatabase) -> int:
    """How many sessions have one while they wait for their next statement."""
    kept = text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction' AND backend_xmin IS NOT NULL
    """)
    with database.begin() as connection:
        return int(connection.scalar(kept) or 0)


def _unfinished() -> timedelta | None:
    """For how many days, of 24 hours, something has waited to be done."""
    with db.engine.connect() as connection:
        since = index_builds.unfinished_since(connection)
    return None if since is None else timedelta(days=round((clock.now() - since) / timedelta(days=1)))


def _is_there(name: str) -> bool:
    with db.engine.connect() as connection:
        return connection.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None


def _valid(connection: Connection) -> set[str]:
    names = text("""
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisvalid
    """)
    return set(connection.scalars(names)) & (SMALL | REPLACED)


def _indexes() -> set[str]:
    """Those of the two kinds that are there and valid."""
    with db.engine.connect() as connection:
        return _valid(connection)
