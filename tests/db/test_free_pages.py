"""An SQLite file becomes smaller by what retention deletes, a few pages at a time."""

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from webhooks_app.db import disk_space, free_pages, sqlite_sessions
from webhooks_app.db.engines import Databases
from webhooks_app.db.free_pages import FreePageLimits, NotRebuilt

only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def fill_and_empty(databases: Databases, megabytes: int) -> None:
    """Leave as much of the file free."""
    with databases.write.begin() as connection:
        connection.execute(text("CREATE TABLE filling (content BLOB)"))
        for _ in range(megabytes):
            connection.execute(text("INSERT INTO filling VALUES (zeroblob(1048576))"))
    with databases.write.begin() as connection:
        connection.execute(text("DELETE FROM filling"))


def file_size(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "test.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "test.db").stat().st_size


@only_sqlite
def test_free_pages_go_back_to_the_disk(databases: Databases, tmp_path: Path) -> None:
    before = file_size(tmp_path)
    fill_and_empty(databases, 20)
    assert file_size(tmp_path) > before + 20 * 1024**2
    limits = FreePageLimits(step_seconds=0.0, first_step=1024)
    assert free_pages.give_back(databases.read, databases.write, limits=limits) > 19 * 1024**2
    assert file_size(tmp_path) < before * 1.1
    assert free_pages.give_back(databases.read, databases.write) == 0


@only_sqlite
def test_steps_that_take_too_long_become_shorter(databases: Databases) -> None:
    fill_and_empty(databases, 1)
    left: list[int] = []

    def note() -> bool:
        with databases.read.connect() as connection:
            use = free_pages.read_use(connection)
        assert use is not None
        left.append(use.free)
        return len(left) == 6

    limits = FreePageLimits(step_seconds=0.0, first_step=8)
    free_pages.give_back(databases.read, databases.write, should_stop=note, limits=limits)
    assert [before - after for before, after in pairwise(left)] == [8, 4, 2, 1, 1]


@only_sqlite
def test_it_ends_when_it_is_told_to(databases: Databases, tmp_path: Path) -> None:
    fill_and_empty(databases, 5)
    stops = iter([False, True])
    limits = FreePageLimits(first_step=10)
    given = free_pages.give_back(
        databases.read, databases.write, should_stop=lambda: next(stops), limits=limits
    )
    assert given == 10 * 4096


@only_sqlite
def test_a_file_from_before_is_told_of_and_made_anew(databases: Databases, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE kept (content TEXT)")
        connection.execute("INSERT INTO kept VALUES ('here')")
        connection.commit()
    free_pages.rebuild(old)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("SELECT content FROM kept").fetchone() == ("here",)


def test_a_file_that_another_uses_is_left_as_it_is(tmp_path: Path) -> None:
    used = tmp_path / "used.db"
    with closing(sqlite3.connect(used)) as connection:
        connection.execute("CREATE TABLE kept (content TEXT)")
        connection.execute("BEGIN IMMEDIATE")
        before = used.read_bytes()
        with pytest.raises(NotRebuilt, match=r"^database is locked$"):
            free_pages.rebuild(used, lock_seconds=0)
        assert used.read_bytes() == before


def test_nothing_is_advised_for_a_database_of_this_version(databases: Databases) -> None:
    with databases.read.connect() as connection:
        assert disk_space.advice(connection) is None
        is_sqlite = connection.dialect.name == "sqlite"
        assert (free_pages.read_use(connection) is not None) == is_sqlite
    assert free_pages.give_back(databases.read, databases.write) == 0 or is_sqlite


@only_sqlite
def test_a_connection_opens_while_another_writes(databases: Databases, tmp_path: Path) -> None:
    with databases.write.begin() as connection:
        connection.execute(text("CREATE TABLE written (content BLOB)"))
        with closing(sqlite3.connect(tmp_path / "test.db", timeout=0)) as fresh:
            sqlite_sessions._set_pragmas(fresh, None)
            assert fresh.execute("PRAGMA auto_vacuum").fetchone() == (2,)
