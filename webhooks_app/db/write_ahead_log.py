"""The file beside an SQLite database (`-wal`), which has the pages that were written last.

A checkpoint leaves them in it until later ones come in their place; only one that truncates the file takes
them off the disk (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
"""

import time

from sqlalchemy import text

from webhooks_app.db.engines import ReadDatabase

_PAUSE_SECONDS = 0.05


def truncate(database: ReadDatabase, *, within_seconds: float = 5.0) -> bool:
    """Empty the file; return False where readers kept it for so long. PostgreSQL has none: True."""
    deadline = time.monotonic() + within_seconds
    while not _try(database):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _try(database: ReadDatabase) -> bool:
    with database.connect_autocommit() as connection:
        if connection.dialect.name != "sqlite":
            return True
        is_busy = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
    return not is_busy
