"""What holds the two databases together: SQLite's one writer, and connections that lead nowhere any more."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.conftest import Workspace
from tests.postgresql_databases import autocommit
from tests.waiting import wait_for
from webhooks_app.cli.schema import downgrade, upgrade
from webhooks_app.core import clock
from webhooks_app.db import delivery_queue, engines, index_builds, rolling_upgrades
from webhooks_app.db.database_limits import DatabaseLimits, MigrationLimits
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import DeliveryState
from webhooks_app.extensions import db

_RENAME = text("UPDATE workspaces SET name = :name")
_NAME = text("SELECT name FROM workspaces")


# SQLite has one writer at a time, PostgreSQL has connections that can be cut.
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def rename(databases: Databases, name: str, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    with databases.write.begin() as connection:
        connection.execute(_RENAME, {"name": name})
        meanwhile()


def write_over_a_reader(databases: Databases) -> None:
    """What mypy refuses; `make check` fails once it does not, as the comment is of no use then."""
    with databases.read.connect() as connection:
        delivery_queue.remove(connection, [], DeliveryState.CANCELED, now=clock.now())  # type: ignore[arg-type]


def in_threads(count: int, act: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@only_sqlite
@pytest.mark.usefixtures("workspace")
def test_writers_of_one_process_wait_without_asking_again(databases: Databases) -> None:
    asked: list[str] = []
    db.engine.dispose()
    event.listen(db.engine, "connect", lambda driver, _: driver.set_trace_callback(asked.append))

    def write(number: int) -> None:
        for _ in range(5):
            rename(databases, str(number), meanwhile=lambda: time.sleep(0.003))

    in_threads(8, write)

    assert asked.count("BEGIN IMMEDIATE") == 40


@only_sqlite
@pytest.mark.usefixtures("workspace")
def test_a_writer_that_fails_gives_its_turn_away(databases: Databases) -> None:
    with pytest.raises(ZeroDivisionError), databases.write.begin():
        raise ZeroDivisionError
    in_threads(1, lambda _: rename(databases, "after"))

    with databases.read.connect() as connection:
        assert connection.execute(_NAME).scalar_one() == "after"


@only_sqlite
@pytest.mark.parametrize("database_limits", [DatabaseLimits(lock_seconds=0.2)], indirect=True)
@pytest.mark.usefixtures("workspace")
def test_who_waits_too_long_for_its_turn_is_told(databases: Databases) -> None:
    told: list[float] = []

    def wait(_: int) -> None:
        began = time.monotonic()
        with pytest.raises(OperationalError, match="locked"):
            rename(databases, "late")
        told.append(time.monotonic() - began)

    rename(databases, "first", meanwhile=lambda: in_threads(3, wait))
    rename(databases, "second")  # nobody took a turn along

    assert len(told) == 3
    assert all(0.2 <= seconds < 30 for seconds in told)


@pytest.mark.usefixtures("workspace")
def test_a_single_select_opens_no_transaction(databases: Databases) -> None:
    with databases.read.connect_autocommit() as connection:
        connection.execute(_NAME).all()
        driver = connection.connection.driver_connection
        assert driver is not None
        if databases.write.dialect.name == "sqlite":
            assert not driver.in_transaction
        else:
            assert driver.info.transaction_status.name == "IDLE"
    with db.engine.connect() as connection:  # the same one, in a transaction
        connection.execute(_RENAME, {"name": "undone"})
        connection.rollback()
    with databases.read.connect() as connection:
        assert connection.execute(_NAME).scalar_one() != "undone"


def test_an_error_tells_none_of_the_parameters(databases: Databases) -> None:
    wrong = text("SELECT nothing FROM workspaces WHERE name = :name")
    with pytest.raises(DBAPIError) as raised, databases.read.connect() as connection:
        connection.execute(wrong, {"name": "s3cret"})
    assert "nothing" in str(raised.value)
    assert "s3cret" not in str(raised.value)


@only_postgresql
@pytest.mark.parametrize("database_limits", [DatabaseLimits(idle_check_seconds=0.0)], indirect=True)
def test_an_idle_connection_that_was_cut_is_replaced_unseen(
    databases: Databases, workspace: Workspace
) -> None:
    db.engine.dispose()
    own_id = text("SELECT pg_backend_pid()")
    with databases.read.connect_autocommit() as first, databases.read.connect_autocommit() as second:
        cut = {"id": first.execute(own_id).scalar_one()}
        second.execute(text("SELECT pg_terminate_backend(:id)"), cut)
        left = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :id")
        wait_for(lambda: second.execute(left, cut).scalar_one() == 0)

    ids = set()
    for _ in range(3):
        with databases.read.connect() as one, databases.read.connect() as other:
            ids |= {connection.execute(own_id).scalar_one() for connection in (one, other)}
    assert cut["id"] not in ids
    rename(databases, workspace.id)


@only_postgresql
@pytest.mark.parametrize("database_limits", [DatabaseLimits(idle_check_seconds=3600)], indirect=True)
def test_where_one_connection_was_lost_all_that_are_kept_are_replaced(
    databases: Databases, database_url: str
) -> None:
    """They lead to the same server, which may have been left for another one."""
    own_id = text("SELECT pg_backend_pid()")

    def ids_of_two() -> set[int]:
        with databases.read.connect() as first, databases.read.connect() as second:
            return {connection.execute(own_id).scalar_one() for connection in (first, second)}

    db.engine.dispose()
    kept = ids_of_two()
    autocommit(database_url, f"SELECT pg_terminate_backend({min(kept)}, 60000)")
    with pytest.raises(OperationalError):
        ids_of_two()
    assert ids_of_two().isdisjoint(kept)


_IS_WAITED_FOR = text("SELECT count(*) FROM pg_locks WHERE relation = 'endpoints'::regclass AND NOT granted")


@only_postgresql
def test_a_migration_that_waits_for_a_reader_lets_events_pass(
    app: Flask, workspace: Workspace, databases: Databases
) -> None:
    app.config["MIGRATION_LIMITS"] = MigrationLimits(lock_seconds=0.3, pause_seconds=0.1)

    def go_back() -> None:
        with app.app_context():
            downgrade(revision="0002")

    migration = threading.Thread(target=go_back)
    try:
        with databases.read.connect() as long, databases.read.connect_autocommit() as watch:
            long.execute(text("SELECT count(*) FROM endpoints"))
            migration.start()
            for _ in range(2):
                wait_for(lambda: watch.execute(_IS_WAITED_FOR).scalar_one())
                workspace.send()
                wait_for(lambda: not watch.execute(_IS_WAITED_FOR).scalar_one())
        migration.join()
        with databases.read.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0002"
    finally:
        migration.join()
        upgrade()
        # As the tests behind this one find a new database, whose migration leaves nothing for a day later.
        index_builds.bring_up_to_date(databases.write, now=clock.now() + rolling_upgrades.DURATION)


@only_postgresql
def test_a_migration_does_not_wait_for_ever(app: Flask, databases: Databases) -> None:
    app.config["MIGRATION_LIMITS"] = MigrationLimits(lock_seconds=0.1, pause_seconds=0.1, attempts=2)
    with databases.read.connect() as long:
        long.execute(text("SELECT count(*) FROM endpoints"))
        with pytest.raises(OperationalError, match="lock timeout"):
            downgrade(revision="0002")


def test_what_the_pool_does_is_no_news_of_ours(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "webhooks_app"):
        engine = engines.open_engine(database_url, waits_for_disk=True)
        engine.connect().close()
        engine.dispose()
    assert caplog.messages == []


def test_sqlite_alone_has_one_writer(databases: Databases) -> None:
    assert databases.write.has_one_writer is (databases.write.dialect.name == "sqlite")


@pytest.mark.usefixtures("workspace")
def test_who_asked_to_be_called_after_commits_is_called_after_no_other_end(databases: Databases) -> None:
    calls: list[str] = []
    write = engines.databases_of(db.engine, after_commit=lambda: calls.append("committed")).write
    for database in (write, write.waiting_for_disk()):
        with database.begin() as connection:
            connection.execute(_RENAME, {"name": "a"})
            assert calls == []
        assert calls == ["committed"]
        with pytest.raises(ZeroDivisionError), database.begin():
            raise ZeroDivisionError
        assert calls == ["committed"]
        calls.clear()


def test_who_asked_to_be_called_for_each_connection_is_called(databases: Databases) -> None:
    calls: list[str] = []
    databases.write.on_connect(lambda: calls.append("connected"))
    db.engine.dispose()
    with databases.write.begin(), databases.read.connect():
        pass
    assert calls and set(calls) == {"connected"}


@only_postgresql
def test_a_connection_without_limits_waits_for_the_disk_and_shows_no_parameters(databases: Databases) -> None:
    with databases.write.connect_unlimited() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"
        with pytest.raises(DBAPIError, match="parameters hidden"):
            connection.execute(text("SELECT 1 / CAST(:secret AS int)"), {"secret": 0})


@pytest.mark.usefixtures("workspace")
def test_an_orm_session_reads(databases: Databases) -> None:
    with databases.read.session() as session:
        assert session.scalar(_NAME) == "Acme"
