"""Statements that the database cannot serve for a while, as the driver says it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from webhooks_app.db.engines import WriteDatabase
from webhooks_app.extensions import db


@contextmanager
def failing(database: WriteDatabase, beginning: str, *, times: int | None = None) -> Iterator[None]:
    """Have the application's database not serve statements that begin so, each time or the first times."""
    failures = 0

    def fail(_connection: Connection, _cursor: Any, statement: str, *_: object) -> None:
        nonlocal failures
        if statement.startswith(beginning) and (times is None or failures < times):
            failures += 1
            error = database.dialect.loaded_dbapi.OperationalError("no answer")
            raise OperationalError(statement, None, error)

    event.listen(db.engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", fail)
    assert failures
