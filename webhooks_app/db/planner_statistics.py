"""The samples of columns' values that PostgreSQL has for its planner, which outlast the rows they are of."""

from sqlalchemy import Column, Table, text

from webhooks_app.db.engines import WriteDatabase


def sample_anew(database: WriteDatabase, table: Table, columns: list[Column[str]]) -> None:
    """Have the statistics of the columns made of what is in the table now; SQLite has none.

    Reads some 30,000 rows at most, and may be told to wait for another ANALYZE. Raises DBAPIError.
    """
    if database.dialect.name != "postgresql":
        return
    names = ", ".join(column.name for column in columns)
    with database.begin() as connection:
        connection.execute(text(f"ANALYZE {table.name} ({names})"))
