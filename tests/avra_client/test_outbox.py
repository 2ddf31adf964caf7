"""What an app writes into its outbox, in its own transaction, however it speaks to its database."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, inspect, text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.schema import CreateTable

from avra_client import JsonText, outbox, outbox_schema, row_ids
from avra_client.outbox import Outbox
from tests.avra_client.conftest import DATA, TYPE, Store

# A transaction in which something may be written, and which is committed or not.
Transaction = Callable[[Store, bool], Any]


@contextmanager
def _session(store: Store, commits: bool) -> Iterator[Session]:
    engine = create_engine(store.url)
    with Session(engine) as session:
        yield session
        session.commit() if commits else session.rollback()
    engine.dispose()


@contextmanager
def _scoped_session(store: Store, commits: bool) -> Iterator[scoped_session[Session]]:
    engine = create_engine(store.url)
    session = scoped_session(sessionmaker(engine))
    yield session
    session.commit() if commits else session.rollback()
    session.remove()
    engine.dispose()


@contextmanager
def _connection(store: Store, commits: bool) -> Iterator[Any]:
    engine = create_engine(store.url)
    with engine.connect() as connection:
        yield connection
        connection.commit() if commits else connection.rollback()
    engine.dispose()


@contextmanager
def _raw_connection(store: Store, commits: bool) -> Iterator[Any]:
    engine = create_engine(store.url)
    with closing(engine.raw_connection()) as connection:
        yield connection
        connection.commit() if commits else connection.rollback()
    engine.dispose()


@contextmanager
def _dbapi_connection(store: Store, commits: bool) -> Iterator[Any]:
    with closing(store.connect()) as connection:
        if store.url.startswith("sqlite"):
            connection.execute("BEGIN")
        yield connection
        connection.commit() if commits else connection.rollback()


@contextmanager
def _cursor(store: Store, commits: bool) -> Iterator[Any]:
    with _dbapi_connection(store, commits) as connection, closing(connection.cursor()) as cursor:
        yield cursor


WAYS = [_session, _scoped_session, _connection, _raw_connection, _dbapi_connection, _cursor]


@pytest.mark.parametrize("transaction", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_an_event_is_there_when_the_transaction_commits_and_not_when_it_rolls_back(
    store: Store, transaction: Transaction
) -> None:
    check_transaction(store, transaction)


def check_transaction(store: Store, transaction: Transaction) -> None:
    with transaction(store, False) as target:
        outbox.send(target, TYPE, DATA)
    assert store.states() == {}
    with transaction(store, True) as target:
        first = outbox.send(target, TYPE, DATA | {"note": "Grüße 🚀", "cost": Decimal("1.10")})
        second = outbox.send(target, TYPE, JsonText('{"raw":  1.0}'))
    rows = store.run("SELECT id, type, data, state, due_at, handed_over_at FROM avra_outbox ORDER BY id")
    assert rows == [
        (
            first,
            TYPE,
            '{"batch_id": "b1", "status": "succeeded", "note": "Grüße 🚀", "cost": 1.10}',
            *("pending", 0, None),
        ),
        (second, TYPE, '{"raw":  1.0}', "pending", 0, None),
    ]


def test_it_goes_with_what_the_app_itself_wrote(store: Store) -> None:
    engine = create_engine(store.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    with Session(engine) as session:
        session.execute(text("INSERT INTO orders VALUES (1)"))
        outbox.send(session, TYPE, DATA)
        session.rollback()
    with Session(engine) as session, session.begin():
        session.execute(text("INSERT INTO orders VALUES (2)"))
        outbox.send(session, TYPE, DATA)
    assert store.run("SELECT id FROM orders") == [(2,)]
    assert len(store.states()) == 1
    store.run("DROP TABLE orders")
    engine.dispose()


def test_ids_are_unique_and_in_the_order_of_sending() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(ids: list[str]) -> None:
        ids.extend(row_ids.new() for _ in range(20_000))

    threads = [threading.Thread(target=make, args=(ids,)) for ids in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    assert len({each for ids in made for each in ids}) == 80_000
    assert {(len(each), each[14], each[19] in "89ab") for ids in made for each in ids} == {(36, "7", True)}


@pytest.fixture
def cursor() -> Iterator[sqlite3.Cursor]:
    with closing(sqlite3.connect(":memory:")) as connection, closing(connection.cursor()) as cursor:
        for statement in outbox_schema.ddl("sqlite"):
            cursor.execute(statement)
        yield cursor


@pytest.mark.parametrize(
    ("type", "data", "error"),
    [
        (TYPE, {"value": float("nan")}, ValueError),
        (TYPE, {"value": "\ud800"}, ValueError),
        (TYPE, {"value": object()}, TypeError),
        (TYPE, {"value": "ü" * 140_000}, ValueError),
        ("", {}, ValueError),
        ("a\nb", {}, ValueError),
        ("a" * 256, {}, ValueError),
        (7, {}, ValueError),
    ],
    ids=["nan", "surrogate", "object", "large", "no-type", "line", "long-type", "number"],
)
def test_what_the_platform_could_not_take_is_refused_at_once(
    cursor: sqlite3.Cursor, type: Any, data: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        outbox.send(cursor, type, data)
    assert cursor.execute("SELECT count(*) FROM avra_outbox").fetchone() == (0,)


def test_an_outbox_may_know_the_event_types(cursor: sqlite3.Cursor) -> None:
    own = Outbox(event_types={TYPE})
    own.send(cursor, TYPE, DATA)
    with pytest.raises(ValueError, match="batch-lifecicle"):
        own.send(cursor, "batch-lifecicle", DATA)


@pytest.mark.parametrize("name", ["", "Outbox", "a b", "a;b", 'a"b', "a.b.c", "1a"])
def test_a_table_that_would_have_to_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="table"):
        Outbox(name)


class Unknown:
    def execute(self, statement: str, values: Any) -> None:
        raise AssertionError("it cannot be known how")


def test_an_unknown_driver_is_refused_unless_its_paramstyle_is_given(cursor: sqlite3.Cursor) -> None:
    with pytest.raises(TypeError, match="paramstyle"):
        outbox.send(Unknown(), TYPE, DATA)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="qmark"):
        Outbox(paramstyle="dollar").send(cursor, TYPE, DATA)
    for style in ("qmark", "named"):
        Outbox(paramstyle=style).send(cursor, TYPE, DATA)
    assert cursor.execute("SELECT count(*) FROM avra_outbox").fetchone() == (2,)


def test_an_asynchronous_session_is_told_what_to_use() -> None:
    with pytest.raises(TypeError, match="send_async"):
        outbox.send(AsyncSession(), TYPE, DATA)  # type: ignore[arg-type]


def _shape(store: Store) -> Any:
    engine = create_engine(store.url)
    found = inspect(engine)
    columns = [
        (each["name"], str(each["type"]), each["nullable"]) for each in found.get_columns("avra_outbox")
    ]
    indexes = [(each["name"], each["column_names"]) for each in found.get_indexes("avra_outbox")]
    defaults = [str(each["default"]).split("::")[0].strip("'") for each in found.get_columns("avra_outbox")]
    primary = found.get_pk_constraint("avra_outbox")["constrained_columns"]
    engine.dispose()
    return columns, indexes, defaults, primary


def test_the_table_of_the_metadata_is_that_of_the_sql(
    empty_store: Store, request: pytest.FixtureRequest
) -> None:
    check_table(empty_store, request)


def check_table(empty_store: Store, request: pytest.FixtureRequest) -> None:
    """Compare the table that the metadata makes with that of the fixture `store`."""
    engine, metadata = create_engine(empty_store.url), MetaData()
    outbox_schema.table(metadata)
    metadata.create_all(engine)
    by_metadata = _shape(empty_store)
    metadata.drop_all(engine)
    engine.dispose()
    by_sql = _shape(request.getfixturevalue("store"))
    assert by_metadata == by_sql


def test_on_mysql_too() -> None:
    table = outbox_schema.table(MetaData(), "shop.events_out")
    [create, index] = outbox_schema.ddl("mysql", "shop.events_out")
    made = str(CreateTable(table).compile(dialect=mysql.dialect()))
    for part in ("shop.events_out", "data MEDIUMTEXT NOT NULL", "ENGINE=InnoDB", "utf8mb4"):
        assert part in made
        assert part in create
    assert index == "CREATE INDEX ix_events_out_state ON shop.events_out (state, id)"
