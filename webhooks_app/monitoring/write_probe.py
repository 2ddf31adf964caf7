"""Whether the database takes a write that needs room of its own, tried and undone."""

import secrets

from sqlalchemy import insert

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.transient_errors import DATABASE_ERRORS, Cause
from webhooks_app.monitoring.own_report import REPORTS, WEB, identify

# More than the pages that are there have free, of what cannot be packed: a full disk has to say so.
_PROBE_BYTES = 64 * 1024


class _Undo(Exception):
    """The write was taken, and is not to stay."""


def try_to_write(database: WriteDatabase) -> Cause | None:
    """Return why the database takes no writes, or None if it does. Raises errors that say something else."""
    who = identify(WEB)
    row = {name: getattr(who, name) for name in type(who).__dataclass_fields__}
    row |= {"reported_at": who.started_at, "clock_ahead_ms": 0, "counters": {}}
    row["state"] = {"probe": secrets.token_hex(_PROBE_BYTES)}
    try:
        with database.begin() as connection:
            connection.execute(insert(REPORTS).values(row))
            raise _Undo
    except _Undo:
        return None
    except DATABASE_ERRORS:
        if (refused := database.refusals.lasting()) is None:
            raise
        return refused[0]
