"""Which schemas this code runs on, on both databases."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text

from tests.conftest import deployed
from webhooks_app.config import ROOT
from webhooks_app.db import engines, schema_version
from webhooks_app.db.engines import Databases, ReadDatabase
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
    schema_version.require_current_or_newer(databases.read)
    assert not caplog.records


def test_an_older_schema_is_refused(databases: Databases) -> None:
    with at_revisions(databases, "0001"), pytest.raises(WrongSchema, match=r"is at revision 0001.* migrate"):
        schema_version.require_current_or_newer(databases.read)


def test_a_schema_without_a_revision_is_empty(databases: Databases) -> None:
    with at_revisions(databases), pytest.raises(WrongSchema, match=r"is empty; run .* migrate"):
        schema_version.require_current_or_newer(databases.read)


def test_a_revision_that_this_code_does_not_know_is_a_newer_one(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with at_revisions(databases, "9999"):
        schema_version.require_current_or_newer(databases.read)
    [record] = caplog.records
    assert (record.message, record.__dict__["found"]) == ("schema_newer", "9999")


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql+psycopg://nobody:secret@127.0.0.1:1/nothing"]
)
def test_a_database_that_is_away_keeps_no_process_from_starting(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    schema_version.require_by_url(url)
    [record] = caplog.records
    assert (record.message, record.__dict__["cause"]) == ("database_unavailable", "connection")


@contextmanager
def other_encoding(database_url: str, folder: Path) -> Iterator[str]:
    """A database without tables, beside the one of the tests, that does not keep text as UTF-8."""
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / "other.db")) as connection:
            connection.execute("PRAGMA encoding = 'UTF-16le'")
            connection.execute("CREATE TABLE others (id)")
        yield f"sqlite:///{folder / 'other.db'}"
        return
    url = make_url(database_url)
    name = f"{url.database}_other_encoding"
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}"')
        admin.execute(f"CREATE DATABASE \"{name}\" ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        yield url.set(database=name).render_as_string(hide_password=False)
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_database_that_does_not_keep_text_as_utf8_is_refused(database_url: str, tmp_path: Path) -> None:
    with other_encoding(database_url, tmp_path) as url:
        engine = engines.open_engine(url, waits_for_disk=True)
        for check in (schema_version.require_current_or_newer, schema_version.check_encoding):
            with pytest.raises(WrongSchema, match=r"encoding is (SQL_ASCII|UTF-16le), and UTF-8 is needed"):
                check(ReadDatabase(engine))
        engine.dispose()


def test_migrate_says_so_in_one_line(database_url: str, tmp_path: Path) -> None:
    with other_encoding(database_url, tmp_path) as url:
        env = dict(os.environ) | deployed(url, "redis://127.0.0.1:1", tmp_path)
        command = [sys.executable, "-m", "webhooks_app", "migrate"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == os.EX_CONFIG
    assert done.stderr.startswith("error: The database's encoding is ")
    assert done.stderr.count("\n") == 1
