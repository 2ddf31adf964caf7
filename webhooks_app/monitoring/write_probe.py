"""Whether the database takes a write that needs room of its own, tried and undone."""

import errno
import os
import secrets
import tempfile
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection, insert

from webhooks_app.db import database_file
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.transient_errors import DATABASE_ERRORS, Cause
from webhooks_app.monitoring.own_report import REPORTS, WEB, identify

# More than the pages that are there have free, of what cannot be packed: a full disk has to say so.
_PROBE_BYTES = 64 * 1024
_CAUSES = {
    errno.ENOSPC: Cause.DISK_FULL,
    errno.EDQUOT: Cause.DISK_FULL,
    errno.EROFS: Cause.READ_ONLY,
}
# They say what this user may do, who may be another than the platform's.
_OF_THIS_USER = {errno.EACCES, errno.EPERM}


class _Undo(Exception):
    """The write was taken, and is not to stay."""


def try_to_write(database: WriteDatabase) -> Cause | None:
    """Return why the database takes no writes, or None if it does. Raises errors that say something else."""
    who = identify(WEB)
    row = asdict(who) | {"reported_at": who.started_at, "clock_ahead_ms": 0, "counters": {}}
    row["state"] = {"probe": secrets.token_hex(_PROBE_BYTES)}
    beside: Path | None = None
    try:
        with database.begin() as connection:
            connection.execute(insert(REPORTS).values(row))
            beside = _folder(connection)
            raise _Undo
    except _Undo:
        return None if beside is None else _try_to_write_in(beside)
    except DATABASE_ERRORS:
        if (refused := database.refusals.lasting()) is None:
            raise
        return refused[0]


def _folder(connection: Connection) -> Path | None:
    """Return where the file of an SQLite database is: it keeps in memory what is not committed."""
    file = database_file.path(connection.engine.url)
    return file and file.parent


def _try_to_write_in(folder: Path) -> Cause | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(secrets.token_bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in _OF_THIS_USER:
            return None
        return _CAUSES.get(error.errno or 0, Cause.IO_ERROR)
    return None
