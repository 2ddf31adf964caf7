"""The samples of columns' values that PostgreSQL has for its planner, which outlast the rows they are of."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table, delete, insert, select, text

from webhooks_app.db.dialect_sql import shorten_lock_timeout
from webhooks_app.db.engines import WriteDatabase

# Less than PostgreSQL's `deadlock_timeout` is by default (a second), after which a vacuum would be ended that
# is at the table: one that takes its time would never come to its end.
_LOCK_SECONDS = 0.5
# The check that ANALYZE itself makes: where it fails, PostgreSQL warns, does nothing and raises no error.
_MAY_ANALYZE = text("""
    SELECT pg_has_role(d.datdba, 'USAGE') OR CASE
        WHEN CAST(current_setting('server_version_num') AS integer) >= 170000
        THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE pg_has_role(c.relowner, 'USAGE') END
    FROM pg_class AS c, pg_database AS d
    WHERE c.oid = to_regclass(:table) AND d.datname = current_database()
""")


def keeps_samples(database: WriteDatabase) -> bool:
    """Return whether the planner keeps samples of values, which outlast their rows; SQLite's keeps none."""
    return database.dialect.name == "postgresql"


def may_sample(connection: Connection, table: Table) -> bool:
    """Return whether the role of the connection may have the table's statistics made; SQLite has none."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.scalar(_MAY_ANALYZE, {"table": table.name}))


def advice(connection: Connection, table: Table) -> str | None:
    """Return a sentence on a role for which `may_sample` is False."""
    if may_sample(connection, table):
        return None
    return (
        f"This role may not ANALYZE the table {table.name}, so that values of erased {table.name} stay in "
        "PostgreSQL's statistics (pg_stats) and no erasure of them is complete. Make it the table's owner "
        "or, from PostgreSQL 17 on, GRANT MAINTAIN."
    )


def sample_anew(
    database: WriteDatabase, table: Table, columns: list[Column[str]], *, placeholder: Mapping[str, Any]
) -> bool:
    """Have PostgreSQL compute the columns' statistics from what is in the table now; SQLite has none.

    Return whether that was done or not needed; False where `may_sample` is False.

    For an empty table PostgreSQL computes none and keeps the old ones. So a row with the values of
    `placeholder`, which has nothing in these columns, is inserted for as long as the transaction takes.
    Reads some 30,000 rows at most. Raises DBAPIError, also while a vacuum works on the table.
    """
    if not keeps_samples(database):
        return True
    names = ", ".join(column.name for column in columns)
    with database.begin() as connection:
        if not may_sample(connection, table):
            return False
        shorten_lock_timeout(connection, _LOCK_SECONDS)
        is_empty = _is_empty(connection, table)
        if is_empty:
            connection.execute(insert(table).values(placeholder))
        connection.execute(text(f"ANALYZE {table.name} ({names})"))
        if is_empty:
            connection.execute(delete(table).where(table.c.id == placeholder["id"]))
    return True


def _is_empty(connection: Connection, table: Table) -> bool:
    return connection.execute(select(table.c.id).order_by(table.c.id).limit(1)).first() is None
