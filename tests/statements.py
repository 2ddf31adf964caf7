"""What the application asks its database, whether SQLAlchemy sends it or the driver itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from webhooks_app.db import driver_sql
from webhooks_app.extensions import db

Told = Callable[[str, Any], None]


@contextmanager
def noted_statements() -> Iterator[list[str]]:
    """Yield a list that gets each statement of the block."""
    asked: list[str] = []
    with told_of_statements(lambda statement, _: asked.append(statement)):
        yield asked


@contextmanager
def told_of_statements(tell: Told) -> Iterator[None]:
    """Call `tell` before each statement, with its parameters as the driver gets them; it may raise."""
    fetch_all_as = driver_sql.fetch_all_as

    def tell_and_fetch(connection: Connection, statement: str, values: Any) -> Any:
        tell(statement, values)
        return fetch_all_as(connection, statement, values)

    def before_cursor_execute(
        _connection: Connection, _cursor: Any, statement: str, values: Any, *_: Any
    ) -> None:
        tell(statement, values)

    event.listen(db.engine, "before_cursor_execute", before_cursor_execute)
    driver_sql.fetch_all_as = tell_and_fetch
    try:
        yield
    finally:
        driver_sql.fetch_all_as = fetch_all_as
        event.remove(db.engine, "before_cursor_execute", before_cursor_execute)
