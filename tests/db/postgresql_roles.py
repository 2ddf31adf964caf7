"""Roles on the tests' PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import make_url

from tests.conftest import alone

_NAME, _PASSWORD = "owns_nothing", "of-a-test"


@contextmanager
def url_of_one_who_owns_nothing(database_url: str) -> Iterator[str]:
    """The database by a role that may read and write all rows of its tables, and nothing else."""
    own = psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True)
    with alone("role-that-owns-nothing"), own as connection:  # roles belong to the whole server
        connection.execute(f"CREATE ROLE {_NAME} LOGIN PASSWORD '{_PASSWORD}'")
        try:
            connection.execute(
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {_NAME}"
            )
            url = make_url(database_url).set(username=_NAME, password=_PASSWORD)
            yield url.render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP OWNED BY {_NAME}")
            connection.execute(f"DROP ROLE {_NAME}")
