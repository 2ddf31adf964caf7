"""Arrays in PostgreSQL's binary format, as PostgreSQL itself reads them."""

from typing import Any

import pytest

from webhooks_app.db import driver_sql
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.postgresql_arrays import ByteaArray, TextArray

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def read_back(database: WriteDatabase, type_name: str, value: Any) -> Any:
    with database.begin() as connection:
        statement = f"SELECT CAST(%(value)s AS {type_name}[])"
        [(found,)] = driver_sql.fetch_all_as(connection, statement, {"value": value})
        return found


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["a"],
        [None],
        [None, None, "b"],
        ["NULL", "null", None],
        ['{"a", \\b}', "é 日本 😀"],
        ["x"] * 1_000,
    ],
    ids=repr,
)
def test_texts_arrive_as_they_are(database: WriteDatabase, values: list[str | None]) -> None:
    assert read_back(database, "text", TextArray(values)) == values


@pytest.mark.parametrize("values", [[], [b""], [b"\0\xff\\x", b"a" * 300_000]], ids=["none", "empty", "two"])
def test_bytes_arrive_as_they_are(database: WriteDatabase, values: list[bytes]) -> None:
    assert read_back(database, "bytea", ByteaArray(values)) == values
