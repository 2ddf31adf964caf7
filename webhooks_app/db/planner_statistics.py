"""The samples of columns' values that PostgreSQL has for its planner, which outlast the rows they are of."""

from sqlalchemy import Column, Table, text

from webhooks_app.db.dialect_sql import shorten_lock_timeout
from webhooks_app.db.engines import WriteDatabase

# Less than PostgreSQL's `deadlock_timeout` is by default (a second), after which a vacuum would be ended that
# is at the table: one that takes its time would never come to its end.
_LOCK_SECONDS = 0.5


def sample_anew(database: WriteDatabase, table: Table, columns: list[Column[str]]) -> None:
    """Have the statistics of the columns made of what is in the table now; SQLite has none.

    Reads some 30,000 rows at most. Raises DBAPIError, also where a vacuum is at the table.
    """
    if database.dialect.name != "postgresql":
        return
    names = ", ".join(column.name for column in columns)
    with database.begin() as connection:
        shorten_lock_timeout(connection, _LOCK_SECONDS)
        connection.execute(text(f"ANALYZE {table.name} ({names})"))
