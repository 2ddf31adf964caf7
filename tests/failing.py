"""Statements that the database cannot serve for a while, as the driver says it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import OperationalError

from tests.statements import told_of_statements
from webhooks_app.db.engines import WriteDatabase


@contextmanager
def failing(database: WriteDatabase, beginning: str, *, times: int | None = None) -> Iterator[None]:
    """Have the application's database not serve statements that begin so, each time or the first times."""
    failures = 0

    def fail(statement: str, _values: Any) -> None:
        nonlocal failures
        if statement.lstrip().startswith(beginning) and (times is None or failures < times):
            failures += 1
            error = database.dialect.loaded_dbapi.OperationalError("no answer")
            raise OperationalError(statement, None, error)

    with told_of_statements(fail):
        yield
    assert failures
