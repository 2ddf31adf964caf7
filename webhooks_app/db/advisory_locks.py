"""Locks of PostgreSQL by a number, each blocks only those who ask for the same number."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from webhooks_app.db import driver_errors
from webhooks_app.db.engines import WriteDatabase

# Should its host be gone, the server finds out by these probes and frees the lock.
_PROBE_HOST = """
    SET LOCAL tcp_keepalives_idle TO 10; SET LOCAL tcp_keepalives_interval TO 5;
    SET LOCAL tcp_keepalives_count TO 4
"""


@contextmanager
def try_lock(database: WriteDatabase, number: int) -> Iterator[bool]:
    """Yield whether nobody else has the lock; it is this block's then until its end.

    A transaction holds it, as a session cannot behind a pooler. Meanwhile that has neither a snapshot, for
    which whoever builds an index would wait, nor an id, which would keep vacuums from freeing rows. Raises
    DBAPIError.
    """
    with database.without_time_limit().begin() as connection:
        yield _take(connection, number)


def _take(connection: Connection, number: int) -> bool:
    """Ask by the simple protocol; by the other, an answer keeps its snapshot until the transaction ends."""
    driver: Any = connection.connection.driver_connection
    statement = f"SELECT pg_catalog.pg_try_advisory_xact_lock({number}); {_PROBE_HOST}"
    with driver_errors.as_sqlalchemy(connection, statement):
        (is_held,) = driver.execute(statement, prepare=False).fetchone()
    return bool(is_held)
