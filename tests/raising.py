"""Errors that PostgreSQL raises itself, so that they come as the driver's classes for them."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from webhooks_app.db.engines import WriteDatabase


@contextmanager
def raising(
    database: WriteDatabase, table: str, sqlstate: str, *, act: str = "INSERT", which: str = ""
) -> Iterator[None]:
    """Have whatever is inserted into the table end with the error meanwhile, or another act on it.

    `which`: SQL on NEW that says of which rows alone.
    """
    rows = f"FOR EACH ROW WHEN ({which})" if which else ""
    with database.begin() as connection:
        connection.execute(
            text(f"""
                CREATE FUNCTION raise_it() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}', MESSAGE = 'as it were'; END $$;
                CREATE TRIGGER raise_it BEFORE {act} ON {table} {rows} EXECUTE FUNCTION raise_it();
            """)
        )
    try:
        yield
    finally:
        with database.begin() as connection:
            connection.execute(text("DROP FUNCTION raise_it CASCADE"))
