"""The Flask extensions, and what both databases need to behave alike."""

import sqlite3
import time
from typing import Any

from flask import Flask, current_app
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from webhooks_app.encryption import Cipher
from webhooks_app.models.base import Base

db = SQLAlchemy(model_class=Base, disable_autonaming=True)
migrate = Migrate()
login = LoginManager()
csrf = CSRFProtect()

# How long a writer waits for SQLite's one write lock; past it the caller gets 503 or tries again.
SQLITE_BUSY_SECONDS = 5

_WRITES = "writes"
# A commit takes about as long.
_LOCK_LOOK_SECONDS = 0.001


def cipher() -> Cipher:
    found: Cipher = current_app.extensions["cipher"]
    return found


def engine_options(database_url: str) -> dict[str, Any]:
    if database_url.startswith("sqlite"):
        return {"connect_args": {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}}
    # pre_ping: a PostgreSQL that was restarted costs one look, not one failed request per pooled connection.
    return {
        "pool_pre_ping": True,
        "pool_size": 10,
        "max_overflow": 20,
        "connect_args": {"connect_timeout": 5},
    }


def prepare_engine(app: Flask, *, waits_for_disk: bool) -> None:
    """`waits_for_disk`: whether a commit returns only when it would survive a power cut."""
    with app.app_context():
        engine = db.engine
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _set_utc)
    if not waits_for_disk:
        event.listen(engine, "connect", _commit_without_waiting)


def _set_pragmas(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: `_begin` decides their kind.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",  # readers never wait for the writer
        "synchronous=FULL",  # a 202 survives a power cut
        "foreign_keys=ON",
        "cache_size=-32000",  # 32 MB
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A transaction that will write takes SQLite's one write lock at its start: the upgrade from reader to
    # writer is refused without waiting when another writer came first.
    if connection.get_execution_options().get(_WRITES):
        _take_write_lock(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _take_write_lock(connection: Connection) -> None:
    """Looks for the lock each millisecond.

    SQLite's own wait sleeps longer each time, up to 100 ms, so that whoever has waited longest loses to
    whoever comes by: under steady traffic that is seconds.
    """
    deadline = time.monotonic() + SQLITE_BUSY_SECONDS
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                code = getattr(error.orig, "sqlite_errorcode", None)
                if code != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(_LOCK_LOOK_SECONDS)
    finally:
        driver.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")


def _set_utc(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _commit_without_waiting(connection: Any, _record: Any) -> None:
    # The order of commits stays: whatever is on disk, everything before it is too.
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    connection.commit()


def writer() -> Engine:
    """For actions: its transactions may write. `db.session` is for reading."""
    return db.engine.execution_options(**{_WRITES: True})


def reader(engine: Engine) -> Engine:
    """The same database for transactions that only read."""
    return engine.execution_options(**{_WRITES: False})
