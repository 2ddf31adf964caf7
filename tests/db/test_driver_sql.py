"""Statements that SQLAlchemy does not touch: the same values and errors as by way of it."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from webhooks_app.core import clock
from webhooks_app.db import driver_sql
from webhooks_app.db.column_types import of_driver
from webhooks_app.db.engines import Databases
from webhooks_app.extensions import db

only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
LIMITED = {"sqlite": "SELECT :a, '50 %', :b", "postgresql": "SELECT CAST(:a AS text), '50 %', :b::text"}
MOMENTS = {"sqlite": "SELECT :at, :at IS NULL", "postgresql": "SELECT CAST(:at AS timestamptz), :at IS NULL"}


def fetch(connection: Connection, statement: dict[str, str], **values: Any) -> list[tuple[Any, ...]]:
    return driver_sql.fetch_all(connection, driver_sql.compile_for_drivers(statement), values)


def test_values_are_named_and_neither_casts_nor_percent_signs_are_taken_for_them(
    databases: Databases,
) -> None:
    with databases.read.connect() as connection:
        assert fetch(connection, LIMITED, a="x", b="y") == [("x", "50 %", "y")]


@pytest.mark.parametrize("hours", [0, 5, -3])
def test_a_moment_comes_back_in_utc(databases: Databases, hours: int) -> None:
    at = clock.now().astimezone(timezone(timedelta(hours=hours)))
    with databases.read.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL TIME ZONE 'Asia/Kolkata'"))
        [(stored, is_null)] = fetch(connection, MOMENTS, at=at)
    moment = of_driver(stored)
    assert moment == at
    assert isinstance(moment, datetime)
    assert moment.utcoffset() == timedelta(0)
    assert not is_null
    assert of_driver(None) is None


def test_a_moment_without_a_time_zone_is_refused(databases: Databases) -> None:
    with databases.read.connect() as connection, pytest.raises(ValueError, match="without a time zone"):
        fetch(connection, MOMENTS, at=clock.now().replace(tzinfo=None))


def test_a_transaction_begins_as_with_any_other_statement(databases: Databases) -> None:
    begun: list[Connection] = []
    note = begun.append
    event.listen(db.engine, "begin", note)
    try:
        with databases.read.connect() as connection:
            fetch(connection, LIMITED, a="x", b="y")
            fetch(connection, LIMITED, a="x", b="y")
    finally:
        event.remove(db.engine, "begin", note)
    assert len(begun) == 1


def test_a_statement_that_gives_no_rows_returns_none(databases: Databases) -> None:
    statement = "UPDATE workspaces SET name = name"
    with databases.write.begin() as connection:
        assert fetch(connection, {"sqlite": statement, "postgresql": statement}) == []


@only_postgresql
def test_one_lost_connection_is_enough_to_open_all_anew(databases: Databases) -> None:
    read = databases.read
    own = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
    connect = read.connect_autocommit
    with connect() as third, connect() as first, connect() as second:  # the last is the next one, too
        for each in (first, second):
            each.execute(text("SELECT 1"))
        third.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({own}) p WHERE pid <> pg_backend_pid()"))

    with read.connect_autocommit() as connection, pytest.raises(DBAPIError) as raised:
        fetch(connection, LIMITED, a="x", b="y")
    assert raised.value.connection_invalidated
    for _ in range(3):
        with read.connect_autocommit() as connection:
            assert fetch(connection, LIMITED, a="x", b="y")


@only_postgresql
def test_a_server_that_became_read_only_is_left(databases: Databases) -> None:
    before = server_processes(databases)
    with pytest.raises(DBAPIError), databases.write.begin() as connection:
        write_where_nothing_may_be_written(connection)
    assert not before & server_processes(databases)


def server_processes(databases: Databases) -> set[int]:
    """Those of two connections at once."""
    with databases.read.connect() as one, databases.read.connect() as other:
        return {each.execute(text("SELECT pg_backend_pid()")).scalar_one() for each in (one, other)}


def write_where_nothing_may_be_written(connection: Connection) -> None:
    connection.execute(text("SET TRANSACTION READ ONLY"))
    fetch(connection, {"sqlite": "", "postgresql": "UPDATE workspaces SET name = name RETURNING id"})
