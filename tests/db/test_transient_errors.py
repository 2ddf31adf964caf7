"""Which errors of the databases pass by themselves, and what the log says of each."""

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from webhooks_app.db import transient_errors
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.transient_errors import Cause

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def caught(act: Callable[[], object]) -> DBAPIError:
    with pytest.raises(DBAPIError) as raised:
        act()
    return raised.value


def raise_sqlstate(database: WriteDatabase, sqlstate: str) -> None:
    """Have the server itself raise the error, so that the driver gives it the class that it has."""
    with database.begin() as connection:
        connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$"))


@only_postgresql
@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("08006", Cause.CONNECTION),
        ("08P01", Cause.CONNECTION),
        ("25006", Cause.READ_ONLY),
        ("25P03", Cause.IDLE_IN_TRANSACTION),
        ("40001", Cause.SERIALIZATION),
        ("40P01", Cause.DEADLOCK),
        ("53000", Cause.RESOURCES),
        ("53100", Cause.DISK_FULL),
        ("53200", Cause.OUT_OF_MEMORY),
        ("53300", Cause.TOO_MANY_CONNECTIONS),
        ("53400", Cause.RESOURCES),
        ("55P03", Cause.LOCKED),
        ("57014", Cause.TIMEOUT),
        ("57P01", Cause.SHUTDOWN),
        ("57P02", Cause.SHUTDOWN),
        ("57P03", Cause.SHUTDOWN),
        ("58030", Cause.IO_ERROR),
    ],
)
def test_what_passes_of_postgresqls_errors(databases: Databases, sqlstate: str, cause: Cause) -> None:
    error = caught(lambda: raise_sqlstate(databases.write, sqlstate))
    assert transient_errors.cause_of(error) is cause
    transient_errors.raise_unless_transient(error)


@only_postgresql
@pytest.mark.parametrize(
    "sqlstate",
    ["22P02", "23505", "25P02", "40002", "42501", "42P01", "54001", "55000", "57P04", "XX000", "XX001"],
)
def test_what_does_not_pass_of_postgresqls_errors(databases: Databases, sqlstate: str) -> None:
    error = caught(lambda: raise_sqlstate(databases.write, sqlstate))
    assert transient_errors.cause_of(error) is None
    with pytest.raises(DBAPIError) as raised:
        transient_errors.raise_unless_transient(error)
    assert raised.value is error


def query_only(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("CREATE TABLE more (content)")


def fill(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE more (content)")
    connection.execute("PRAGMA max_page_count = 1")
    connection.execute("INSERT INTO more VALUES (zeroblob(100000))")


def lock(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE more (content)")
    [(_, _, path)] = connection.execute("PRAGMA database_list").fetchall()
    other = sqlite3.connect(path, timeout=0)
    connection.execute("BEGIN IMMEDIATE")
    try:
        other.execute("BEGIN IMMEDIATE")
    finally:
        other.close()
        connection.rollback()


def interrupt(connection: sqlite3.Connection) -> None:
    connection.set_progress_handler(lambda: 1, 1)
    connection.execute("SELECT count(*) FROM sqlite_master")


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (query_only, Cause.READ_ONLY),
        (fill, Cause.DISK_FULL),
        (lock, Cause.LOCKED),
        (interrupt, Cause.INTERRUPTED),
        (lambda connection: connection.execute("SELECT * FROM nothing"), None),
        (lambda connection: connection.execute("SELEC"), None),
    ],
)
def test_what_passes_of_sqlites_errors(
    tmp_path: Path, act: Callable[[sqlite3.Connection], object], cause: Cause | None
) -> None:
    connection = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError) as raised:
        act(connection)
    connection.close()
    error = OperationalError("…", None, raised.value)
    assert transient_errors.cause_of(error) is cause


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Cause.LOCKED),
        (sqlite3.SQLITE_IOERR_WRITE, Cause.IO_ERROR),
        (sqlite3.SQLITE_IOERR_SHMSIZE, Cause.IO_ERROR),
        (sqlite3.SQLITE_READONLY_DBMOVED, Cause.READ_ONLY),
        (sqlite3.SQLITE_CORRUPT, None),
        (sqlite3.SQLITE_NOTADB, None),
    ],
)
def test_an_extended_code_of_sqlite_counts_as_its_primary_one(code: int, cause: Cause | None) -> None:
    driver = sqlite3.OperationalError("…")
    driver.sqlite_errorcode = code
    assert transient_errors.cause_of(OperationalError("…", None, driver)) is cause


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing"]
)
def test_a_database_that_cannot_be_reached_may_be_reached_later(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = caught(lambda: create_engine(url).connect())

    assert transient_errors.cause_of(error) is Cause.CONNECTION
    transient_errors.log_unavailable(logging.getLogger("any"), error)
    assert "secret" not in str(vars(caplog.records[0]))


def test_an_exhausted_pool_fills_again() -> None:
    assert transient_errors.cause_of(PoolTimeout()) is Cause.POOL_EXHAUSTED


def test_an_error_of_another_kind_is_not_the_databases() -> None:
    assert transient_errors.cause_of(ValueError()) is None


@only_postgresql
def test_the_log_has_the_cause_the_code_and_no_parameter(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    rename = text("UPDATE workspaces SET name = :name")
    with databases.read.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        error = caught(lambda: connection.execute(rename, {"name": "whsec_1"}))

    transient_errors.log_unavailable(logging.getLogger("any"), error, view="a.view")

    [record] = caplog.records
    fields = {name: getattr(record, name) for name in ("cause", "code", "error", "view")}
    assert record.message == "database_unavailable"
    assert fields == {
        "cause": "read_only",
        "code": "25006",
        "error": "ReadOnlySqlTransaction",
        "view": "a.view",
    }
    assert "whsec_1" not in str(vars(record))
