"""Which schemas this code runs on, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from webhooks_app.db import schema_version
from webhooks_app.db.engines import Databases
from webhooks_app.db.schema_version import WrongSchema


@contextmanager
def at_revisions(databases: Databases, *revisions: str) -> Iterator[None]:
    read = text("SELECT version_num FROM alembic_version")
    with databases.read.connect() as connection:
        before = connection.scalars(read).all()
    _write(databases, *revisions)
    try:
        yield
    finally:
        _write(databases, *before)


def _write(databases: Databases, *revisions: str) -> None:
    with databases.write.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        for each in revisions:
            connection.execute(text("INSERT INTO alembic_version VALUES (:each)"), {"each": each})


def test_a_migrated_database_passes(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    schema_version.check(databases.read)
    assert not caplog.records


def test_an_older_schema_is_refused(databases: Databases) -> None:
    with at_revisions(databases, "0001"), pytest.raises(WrongSchema, match=r"is at revision 0001.* migrate"):
        schema_version.check(databases.read)


def test_a_schema_without_a_revision_is_empty(databases: Databases) -> None:
    with at_revisions(databases), pytest.raises(WrongSchema, match=r"is empty; run .* migrate"):
        schema_version.check(databases.read)


def test_a_revision_that_this_code_does_not_know_is_a_newer_one(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with at_revisions(databases, "9999"):
        schema_version.check(databases.read)
    [record] = caplog.records
    assert (record.message, record.__dict__["found"]) == ("schema_newer", "9999")


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing"]
)
def test_a_database_that_is_away_keeps_no_process_from_starting(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    schema_version.check_at_start(url)
    [record] = caplog.records
    assert (record.message, record.__dict__["cause"]) == ("database_unavailable", "connection")
