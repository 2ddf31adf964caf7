"""The databases of tests on PostgreSQL: one for each process, which every test gets empty."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, create_engine, make_url, text

from tests.waiting import wait_for
from webhooks_app.db.models.base import Base

_OPEN_TRANSACTIONS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""
_END_OPEN_TRANSACTIONS = f"""
SELECT query FROM (
    SELECT query, pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({_OPEN_TRANSACTIONS})
) AS ended
"""
_WRITTEN_TABLES = """
SELECT oid::regclass::text AS name,
    pg_relation_size(oid) > 10 * current_setting('block_size')::int OR reltuples >= 0 AS is_truncated
FROM pg_class WHERE oid = ANY(CAST(:names AS regclass[])) AND pg_relation_size(oid) > 0
"""


@contextmanager
def database_beside(url: str) -> Iterator[str]:
    """`url` itself for the one process, and another database on its server for each of several."""
    process = os.environ.get("PYTEST_XDIST_WORKER")
    if process is None:
        yield url
        return
    own = make_url(url).set(database=f"{make_url(url).database}_{process}")
    autocommit(url, f'DROP DATABASE IF EXISTS "{own.database}"', f'CREATE DATABASE "{own.database}"')
    yield own.render_as_string(hide_password=False)
    autocommit(url, f'DROP DATABASE "{own.database}" WITH (FORCE)')


def start_patiently(start: Callable[[], Any]) -> Any:
    """The wheel gives its server ten seconds to start, which a busy machine may exceed; it finds it then."""
    for _ in range(10):
        with suppress(subprocess.SubprocessError, AssertionError):
            return start()
        time.sleep(1)
    return start()


def tune(url: str) -> None:
    """No test here is about power cuts, and none may depend on when statistics happen to be gathered."""
    switched_off = ("fsync", "full_page_writes", "autovacuum")
    autocommit(url, *(f"ALTER SYSTEM SET {name} = off" for name in switched_off), "SELECT pg_reload_conf()")


def autocommit(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()  # or a refused statement leaves its connection to the collector, in some later test


def end_open_transactions(connection: Connection) -> list[str]:
    """Wait for other sessions to end theirs; end those that do not, and return their last statements."""
    with suppress(AssertionError):
        wait_for(lambda: not _open_transactions(connection), seconds=30)
        return []
    ended = list(connection.scalars(text(_END_OPEN_TRANSACTIONS)))
    connection.rollback()
    return ended


def empty(connection: Connection) -> None:
    """Delete the rows of small tables, and truncate large ones, for which PostgreSQL makes files anew.

    To truncate all takes 8 ms of processor time, to delete less than one. Up to ten pages a table that was
    never analyzed is the same to its planner as an empty one, so that no plan depends on an earlier test.
    """
    connection.execute(text("SET LOCAL session_replication_role = replica"))  # the audit log refuses it
    written = connection.execute(text(_WRITTEN_TABLES), {"names": list(Base.metadata.tables)}).all()
    if not written:
        return
    names = ", ".join(table.name for table in written)
    # Behind whatever still writes: a process of the test's that was killed may have a last commit under way.
    statements = [f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"]
    statements += [f"DELETE FROM {table.name}" for table in written if not table.is_truncated]
    if large := ", ".join(table.name for table in written if table.is_truncated):
        statements.append(f"TRUNCATE {large} CASCADE")
    # As the migration leaves it in a new database.
    over = "INSERT INTO rolling_upgrades VALUES ('packed_bodies', now()), ('constant_headers', now())"
    statements.append(f"{over} ON CONFLICT DO NOTHING")
    connection.exec_driver_sql("; ".join(statements))


def _open_transactions(connection: Connection) -> list[int]:
    """Return the other sessions of the database that left a transaction open."""
    found = list(connection.scalars(text(_OPEN_TRANSACTIONS)))
    connection.rollback()
    return found
