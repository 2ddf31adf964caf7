"""Copies of a whole database in one file, made while everything runs, and restored.

Each is of one moment: what was accepted before it began is in it, no event without its deliveries.
"""

import os
import re
import secrets
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url

_SQLITE_HEADER = b"SQLite format 3\0"
_POSTGRESQL_HEADER = b"PGDMP"
_HEADERS = {_SQLITE_HEADER: "SQLite", _POSTGRESQL_HEADER: "PostgreSQL"}
# How long a copy waits for a lock; reading takes none that a writer holds for longer.
_LOCK_SECONDS = 30.0


class BackupFailed(Exception):
    """A copy was not made, or not restored; the message says why, and nothing has changed."""


def make(database_url: str, path: Path) -> None:
    """Write a copy of the database to a new file that its owner alone can read. Raises BackupFailed."""
    if path.exists():
        raise BackupFailed(f"{path} is there already; name a new file.")
    url = make_url(database_url)
    copy = _copy_sqlite if url.get_backend_name() == "sqlite" else _dump_postgresql
    _fill(path, lambda draft: copy(url, draft))


def restore(database_url: str, path: Path) -> None:
    """Restore a copy into an empty database. Raises BackupFailed, with nothing changed."""
    url = make_url(database_url)
    is_sqlite = url.get_backend_name() == "sqlite"
    _require_kind(path, "SQLite" if is_sqlite else "PostgreSQL")
    if is_sqlite:
        _restore_sqlite(url, path)
    else:
        _restore_postgresql(url, path)


def _require_kind(path: Path, needed: str) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror}.") from None
    kind = next((kind for header, kind in _HEADERS.items() if start.startswith(header)), None)
    if kind is None:
        raise BackupFailed(f"{path} is no backup.")
    if kind != needed:
        raise BackupFailed(f"{path} is a backup of a {kind} database, and DATABASE_URL names a {needed} one.")


def _fill(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a draft, which gets its name once it is whole and on disk."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        write(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        os.link(draft, path)  # which replaces no file that appeared meanwhile
    except OSError as error:
        raise BackupFailed(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)


def _copy_sqlite(url: URL, draft: Path) -> None:
    """Copy by `VACUUM INTO`, which holds up no writer and leaves out what was deleted."""
    source = Path(url.database or "")
    if not source.is_file():
        raise BackupFailed(f"There is no database at {source}.")
    try:
        with closing(sqlite3.connect(source, timeout=_LOCK_SECONDS)) as connection:
            connection.execute("VACUUM INTO ?", (str(draft),))
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite could not copy the database: {error}.") from None


def _restore_sqlite(url: URL, path: Path) -> None:
    target = Path(url.database or "")
    for file in (target, *(target.with_name(target.name + end) for end in ("-wal", "-shm"))):
        if file.exists() and file.stat().st_size:
            raise BackupFailed(f"{file} is there already; stop everything and move it away first.")
    target.unlink(missing_ok=True)

    def write(draft: Path) -> None:
        with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as backup:
            if (result := backup.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
                raise BackupFailed(f"{path} is damaged: {result[0]}.")
            with closing(sqlite3.connect(draft)) as copy:
                backup.backup(copy)

    try:
        _fill(target, write)
    except sqlite3.Error as error:
        raise BackupFailed(f"{path} cannot be restored: {error}.") from None


def _dump_postgresql(url: URL, draft: Path) -> None:
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={draft}")


def _restore_postgresql(url: URL, path: Path) -> None:
    """Restore in one transaction, so that what fails half-way has changed nothing."""
    _require_empty(url)
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    _run("pg_restore", url, *options, str(path.absolute()))


def _require_empty(url: URL) -> None:
    import psycopg  # loaded by whoever has a PostgreSQL

    query = (
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LIMIT 1"
    )
    try:
        with psycopg.connect(**({"connect_timeout": 10} | _connection(url))) as connection:
            found = connection.execute(query).fetchone()
    except psycopg.Error as error:
        raise BackupFailed(f"PostgreSQL does not answer as it should: {_reason(str(error))}") from None
    if found:
        raise BackupFailed(
            f"The database {url.database} is not empty: it has a table {found[0]}. Create another one for it."
        )


def _run(program: str, url: URL, *options: str) -> None:
    """Run a program of PostgreSQL's, which is told the password where no other process can read it."""
    environment = os.environ | ({"PGPASSWORD": str(url.password)} if url.password else {})
    try:
        command = [program, f"--dbname={_address(url)}", *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603  no shell
    except FileNotFoundError:
        raise BackupFailed(
            f"{program} is not installed; it comes with PostgreSQL's client programs, as new as the server."
        ) from None
    if done.returncode:
        raise BackupFailed(f"{program} failed: {_reason(done.stderr)}")


def _address(url: URL) -> str:
    """Return where the database is, without the password, in words that libpq reads as they are meant.

    A URL would not do: SQLAlchemy writes spaces into one that libpq refuses, or takes for something else.
    """
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**{name: value for name, value in _connection(url).items() if name != "password"})


def _connection(url: URL) -> dict[str, Any]:
    """Return what the platform itself connects with, by the names of libpq's parameters."""
    _, parameters = url.get_dialect()().create_connect_args(url)
    return dict(parameters)


def _reason(output: str) -> str:
    """Return what a program said, in one line."""
    lines = (re.sub(r"^\w+: (error|detail): ", "", line) for line in output.strip().splitlines())
    return "; ".join(lines)[:300] or "it gave no reason"
