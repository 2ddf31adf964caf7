"""Whether the database's schema is one that this code runs on."""

import logging
import re
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect, text

from webhooks_app.db import engines
from webhooks_app.db.engines import ReadDatabase
from webhooks_app.db.transient_errors import database_may_be_away

log = logging.getLogger(__name__)

_ASSIGNMENT = re.compile(r"""^(revision|down_revision)\b[^=\n]*= ?["'](\w+)["']""", re.MULTILINE)
_MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(Exception):
    """The database has no schema yet, or one from before this code; the message says what to do."""


def check(database: ReadDatabase) -> None:
    """Raise WrongSchema unless this code runs on the schema; and the errors of a database that cannot serve.

    A revision that this code does not know is a newer one, and it runs on that: an upgrade migrates first and
    replaces the processes afterwards, any of which may start again meanwhile.
    """
    needed, known = _known_revisions()
    with database.connect() as connection:
        found = _revisions(connection)
    if not found:
        raise _wrong("is empty")
    if found - known:
        log.warning("schema_newer", extra={"found": ", ".join(sorted(found)), "known": needed})
    elif needed not in found:
        raise _wrong(f"is at revision {', '.join(sorted(found))}, and this code needs {needed}")


def check_at_start(database_url: str) -> None:
    """Check for a process that has no engine yet, or must not fork with one. Raises WrongSchema.

    A database that cannot serve just now keeps no process from starting.
    """
    engine = create_engine(database_url, **engines.engine_options(database_url))
    try:
        with database_may_be_away(log):
            check(ReadDatabase(engine))
    finally:
        engine.dispose()


def _known_revisions() -> tuple[str, set[str]]:
    """Return the newest revision, and all.

    Read from the text of the migrations: alembic, which would run them, takes 15 MB in each process.
    """
    follows = {}
    for path in _MIGRATIONS.glob("versions/*.py"):
        text_of = dict(_ASSIGNMENT.findall(path.read_text(encoding="utf-8")))
        follows[text_of["revision"]] = text_of.get("down_revision")
    [newest] = follows.keys() - set(follows.values())
    return newest, set(follows)


def _revisions(connection: Connection) -> set[str]:
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _wrong(state: str) -> WrongSchema:
    return WrongSchema(f"The database's schema {state}; run `python -m webhooks_app migrate`.")
