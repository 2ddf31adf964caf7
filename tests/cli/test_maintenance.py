"""What is done to a deployment now and then."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_vacuum_makes_a_file_from_before_smaller_and_says_so(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=NONE")
        connection.execute("VACUUM")
        connection.execute("CREATE TABLE filling (content BLOB)")
        connection.execute("INSERT INTO filling VALUES (zeroblob(3000000))")
        connection.execute("DROP TABLE filling")
    assert "`avra vacuum`, which rewrites it" in shell.run("doctor").output

    assert "The file had " in shell.done("vacuum", "--yes")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    assert "avra vacuum" not in shell.run("doctor").output


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_vacuum_is_not_for_postgresql(shell: Shell) -> None:
    assert "This is for SQLite" in shell.refused("vacuum", "--yes")
