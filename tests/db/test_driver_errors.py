"""Errors of the drivers: without the values that a statement was about, on both databases."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import Workspace
from webhooks_app.core import clock
from webhooks_app.db import attempt_inserts, delivery_inserts, driver_sql
from webhooks_app.db.delivery_inserts import NewDelivery
from webhooks_app.db.engines import Databases
from webhooks_app.db.write_connection import WriteConnection
from webhooks_app.extensions import db

SECRET = "whsec_of_somebody"
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def insert_twice(connection: Connection) -> None:
    for _ in range(2):
        connection.execute(
            text("INSERT INTO workspaces (id, name, retention_days, created_at) VALUES (:id, 'x', 30, :now)"),
            {"id": SECRET, "now": "2026-01-01"},
        )


def insert_null(connection: Connection) -> None:
    connection.execute(
        text("INSERT INTO workspaces (id, name) VALUES (:id, NULL)"),
        {"id": SECRET},
    )


def refuse_a_number(connection: Connection) -> None:
    connection.execute(text("SELECT CAST(:secret AS integer) FROM workspaces"), {"secret": SECRET})
    connection.execute(text("SELECT nothing, :secret FROM workspaces"), {"secret": SECRET})  # SQLite casts


def copy_what_no_column_takes(connection: WriteConnection) -> None:
    attempt_inserts.insert(connection, [(SECRET, SECRET)])


def insert_a_delivery_twice(connection: WriteConnection) -> None:
    row = NewDelivery(SECRET, SECRET, SECRET, SECRET, "x", "pending")
    delivery_inserts.insert(connection, [row, row], created_at=clock.now(), due_at=clock.now())


def refuse_a_number_of_the_drivers(connection: Connection) -> None:
    cast = "SELECT CAST(:secret AS integer) FROM workspaces"
    absent = "SELECT nothing, :secret FROM workspaces"
    for each in (cast, absent):
        statement = driver_sql.compile_for_drivers({"sqlite": each, "postgresql": each})
        driver_sql.fetch_all(connection, statement, {"secret": SECRET})


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    "act",
    [
        insert_twice,
        insert_null,
        refuse_a_number,
        refuse_a_number_of_the_drivers,
        copy_what_no_column_takes,
        insert_a_delivery_twice,
    ],
)
def test_no_error_shows_a_value(databases: Databases, act: Callable[[Connection], None]) -> None:
    with pytest.raises(DBAPIError) as raised, databases.write.begin() as connection:
        act(connection)

    shown = "".join(traceback.format_exception(raised.value))
    assert SECRET not in shown
    assert str(raised.value.orig) in str(raised.value)


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """Have what connects meanwhile find a database that takes no writes, as a former primary does."""
    admin = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        connect_args={"options": "-c default_transaction_read_only=off"},
    )
    with admin.connect() as connection:
        name = connection.exec_driver_sql("SELECT quote_ident(current_database())").scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    admin.dispose()


@only_postgresql
def test_after_a_failover_the_kept_connections_are_replaced(
    database_url: str, databases: Databases, workspace: Workspace
) -> None:
    rename = text("UPDATE workspaces SET name = 'renamed'")
    with read_only(database_url):
        db.engine.dispose()
        with pytest.raises(DBAPIError, match="read-only"), databases.write.begin() as connection:
            connection.execute(rename)
        with ExitStack() as all_of_them:  # opened while it was read-only, and back in the pool
            for _ in range(3):
                kept = all_of_them.enter_context(databases.write.begin())
                kept.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError, match="read-only"), databases.write.begin() as connection:
        connection.execute(rename)
    with databases.write.begin() as connection:
        assert connection.execute(rename).rowcount == 1
    own_ids = set()
    for _ in range(12):  # and none is replaced again and again
        with databases.write.begin() as connection:
            own_ids.add(connection.scalar(text("SELECT pg_backend_pid()")))
    assert len(own_ids) <= 4
