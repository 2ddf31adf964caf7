"""An app with an outbox: it writes orders and their events in one transaction, rolls some back, and dies.

What it committed is in its table of orders, so that whoever looks there knows which events there must be.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from avra_client import dbapi, outbox, outbox_schema
from faults.load_generator import EVENT_TYPE, new_data

ROLLED_BACK, DIES = 0.25, 0.01
# Of the rest of a second each thread waits between its transactions.
PAUSE_SECONDS = 0.02
MOST_EVENTS = 3
_ORDERS = "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, events INTEGER NOT NULL)"
_INSERT = "INSERT INTO orders (id, events) VALUES ('{0}', {1})"


def create_tables(url: str) -> None:
    """Create the app's table, and its outbox."""
    with closing(dbapi.connector(url)()) as connection:
        dialect = dbapi.dialect_of(connection)
        for statement in (_ORDERS, *outbox_schema.ddl(dialect)):
            connection.cursor().execute(statement)
        connection.commit()


def drop_tables(url: str) -> None:
    """Drop what `create_tables` made, if it is there."""
    with closing(dbapi.connector(url)()) as connection, closing(connection.cursor()) as cursor:
        for table in ("orders", outbox_schema.TABLE):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def orders(url: str) -> dict[str, int]:
    """Return how many events each committed order has."""
    return dict(_rows(url, "SELECT id, events FROM orders"))


def claimed(url: str) -> list[str]:
    """Return the ids of the rows that a relay had claimed and not settled."""
    where = "claimed_by IS NOT NULL AND state = 'pending'"
    return [row_id for row_id, _ in _rows(url, f"SELECT id, state FROM avra_outbox WHERE {where}")]


def states(url: str) -> dict[str, str]:
    """Return the state of each row that is left in the outbox."""
    return dict(_rows(url, "SELECT id, state FROM avra_outbox"))


def _rows(url: str, statement: str) -> list[tuple[str, Any]]:
    with closing(dbapi.connector(url)()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        return [(row[0], row[1]) for row in cursor.fetchall()]


def event_names(order_id: str, events: int) -> list[str]:
    return [f"{order_id}-{number}" for number in range(events)]


def produce(url: str, seed: str, stop_file: str) -> None:
    """Write orders until the file is there; now and then die in the middle, or right after the commit.

    Every other transaction is one of SQLAlchemy's sessions, the others are the driver's own.
    """
    rng = random.Random(seed)
    sqlalchemy_url = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(sqlalchemy_url)
    number = 0
    while not os.path.exists(stop_file):
        number += 1
        order_id, events = f"{seed}-{number}", rng.randint(1, MOST_EVENTS)
        names = event_names(order_id, events)
        ends = rng.choices(("roll back", "die", "die behind", "commit"), (ROLLED_BACK, DIES, DIES, 1))[0]
        if number % 2:
            with Session(engine) as session:
                session.execute(text(_INSERT.format(order_id, events)))
                for name in names:
                    outbox.send(session, EVENT_TYPE, new_data(name, rng.randrange(40)))
                _end(session, ends)
        else:
            with _transaction(url) as connection:
                connection.cursor().execute(_INSERT.format(order_id, events))
                for name in names:
                    outbox.send(connection, EVENT_TYPE, new_data(name, rng.randrange(40)))
                _end(connection, ends)
        time.sleep(PAUSE_SECONDS * rng.random())


@contextmanager
def _transaction(url: str) -> Iterator[dbapi.Connection]:
    with closing(dbapi.connector(url)()) as connection:
        if dbapi.dialect_of(connection) == "sqlite":
            connection.cursor().execute("BEGIN IMMEDIATE")
        yield connection


def _end(transaction: Session | dbapi.Connection, ends: str) -> None:
    if ends == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if ends == "roll back":
        transaction.rollback()
        return
    transaction.commit()
    if ends == "die behind":
        os.kill(os.getpid(), signal.SIGKILL)


def relay(*arguments: str) -> None:
    """Run the command `avra-relay` in this process."""
    from avra_client.relay_command import main

    raise SystemExit(main(arguments))
