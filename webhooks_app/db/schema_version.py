"""Whether the database's schema is one that this code runs on."""

import logging
import re
from collections.abc import Set
from enum import StrEnum
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from webhooks_app.core.start_errors import StartError
from webhooks_app.db import engines
from webhooks_app.db.engines import ReadDatabase
from webhooks_app.db.transient_errors import tolerate_unavailable_database

log = logging.getLogger(__name__)

_ASSIGNMENT = re.compile(r"""^(revision|down_revision)\b[^=\n]*= ?["'](\w+)["']""", re.MULTILINE)
_MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(StartError):
    """The database cannot be used as it is; the message says what to do.

    It has no schema yet, or one from before this code, or keeps text in another encoding than UTF-8.
    """


class SchemaAge(StrEnum):
    """How the database's schema stands to what this code needs."""

    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


def read_age(connection: Connection) -> SchemaAge:
    """Return how the schema stands to this code now; both may change while a process runs."""
    return _age(_revisions(connection))


def _age(found: Set[str]) -> SchemaAge:
    needed, known = _known_revisions()
    if found - known:
        return SchemaAge.NEWER
    return SchemaAge.CURRENT if needed in found else SchemaAge.OLDER


def require_current_or_newer(database: ReadDatabase) -> None:
    """Raise WrongSchema unless this code runs on the schema; and the errors of a database that cannot serve.

    A revision that this code does not know is a newer one, and it runs on that: an upgrade migrates first and
    replaces the processes afterwards, any of which may start again meanwhile.
    """
    with database.connect() as connection:
        _require_utf8(connection)
        found = _revisions(connection)
    if not found:
        raise _wrong("is empty")
    needed, _ = _known_revisions()
    age, revisions = _age(found), ", ".join(sorted(found))
    if age is SchemaAge.OLDER:
        raise _wrong(f"is at revision {revisions}, and this code needs {needed}")
    if age is SchemaAge.NEWER:
        log.warning("schema_newer", extra={"found": revisions, "known": needed})


def is_older(database: ReadDatabase) -> bool:
    """Return whether the database has a schema, of a version before this code."""
    with database.connect() as connection:
        found = _revisions(connection)
    return bool(found) and _age(found) is SchemaAge.OLDER


def require_by_url(database_url: str) -> None:
    """Require the same in a process that has no engine yet, or must not fork with one. Raises WrongSchema.

    A database that cannot serve just now keeps no process from starting.
    """
    engine = engines.open_engine(database_url, waits_for_disk=True)
    try:
        with tolerate_unavailable_database(log):
            require_current_or_newer(ReadDatabase(engine))
    finally:
        engine.dispose()


def check_encoding(database: ReadDatabase) -> None:
    """Raise WrongSchema unless the database takes any text; for `migrate`, which needs no schema."""
    with database.connect() as connection:
        _require_utf8(connection)


def _require_utf8(connection: Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    encoding = connection.scalar(text("PRAGMA encoding" if is_sqlite else "SHOW server_encoding"))
    if str(encoding).replace("-", "").upper() != "UTF8":
        raise WrongSchema(
            f"The database's encoding is {encoding}, and UTF-8 is needed: "
            + ("use another file." if is_sqlite else "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.")
        )


@cache
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
    return WrongSchema(f"The database's schema {state}; run `avra migrate`.")
