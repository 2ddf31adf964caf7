"""Space that an SQLite database no longer uses, given back to the disk; PostgreSQL has its autovacuum.

A deleted row leaves its page free in the file. Where the file was made with `auto_vacuum=INCREMENTAL`, free
pages are taken off its end a few at a time (https://www.sqlite.org/pragma.html#pragma_incremental_vacuum).
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from webhooks_app.db.engines import ReadDatabase, WriteDatabase

_INCREMENTAL = 2


@dataclass(slots=True, frozen=True)
class FreePageLimits:
    """How much is given back, and how fast.

    A transaction is to hold the write lock for about `step_seconds`, as accepting waits for it; so steps
    begin at `first_step` pages and follow the time that they take. `kept_share` of the file stays free: what
    is deleted in an hour is filled again in the next.
    """

    step_seconds: float = 0.05
    first_step: int = 100
    kept_share: float = 0.05


DEFAULT_LIMITS = FreePageLimits()


@dataclass(slots=True, frozen=True)
class FileUse:
    """The pages of an SQLite database's file, and whether it can be made smaller while it is in use."""

    pages: int
    free: int
    page_bytes: int
    is_incremental: bool


def read_use(connection: Connection) -> FileUse | None:
    """Return how the file is used; None for PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return None
    names = ("page_count", "freelist_count", "page_size", "auto_vacuum")
    pages, free, page_bytes, mode = (
        int(connection.execute(text(f"PRAGMA {name}")).scalar_one()) for name in names
    )
    return FileUse(pages, free, page_bytes, mode == _INCREMENTAL)


def give_back(
    read: ReadDatabase,
    write: WriteDatabase,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    limits: FreePageLimits = DEFAULT_LIMITS,
) -> int:
    """Take free pages off the file until few are left or it is told to stop; return how many bytes."""
    step, count, page_bytes = limits.first_step, 0, 0
    while not should_stop():
        with read.connect() as connection:
            use = read_use(connection)
        if use is None or not use.is_incremental:
            break
        surplus = use.free - int((use.pages - use.free) * limits.kept_share)
        if surplus <= 0:
            break
        page_bytes = use.page_bytes
        started = time.monotonic()
        count += _take(write, min(step, surplus))
        seconds = time.monotonic() - started
        step = max(1, step // 2) if seconds > limits.step_seconds else step * 2
        time.sleep(seconds)  # lets those go first who waited for the lock
    return count * page_bytes


def _take(database: WriteDatabase, pages: int) -> int:
    with database.begin() as connection:
        driver: Any = connection.connection.dbapi_connection
        # Each row of this statement, which has no columns, is a page; only as a script the driver goes past
        # the first. That commits, and the statement has a transaction of its own.
        driver.executescript(f"PRAGMA incremental_vacuum({pages:d})")
    return pages


class NotRebuilt(Exception):
    """The file is as it was; the message is SQLite's."""


def rebuild(path: Path, *, lock_seconds: float = 10.0) -> None:
    """Write the file anew, without free pages and so that it can be made smaller from then on.

    Nobody else can write meanwhile, and there must be room for the file once more beside it, and once where
    SQLite has its temporary files. Raises NotRebuilt.
    """
    try:
        with closing(sqlite3.connect(path, timeout=lock_seconds, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
            connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        raise NotRebuilt(str(error)) from error
