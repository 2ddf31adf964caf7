"""Reading everything that a statement finds, in batches, by keyset."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select

from webhooks_app.db import moment_index
from webhooks_app.db.engines import ReadDatabase

# Each read finds all of its last moment, which may be thousands of rows.
_ROWS_OF_MOMENTS = 500


def walk(
    database: ReadDatabase,
    statement: Select[*tuple[Any, ...]],
    key: Any,
    *,
    batch_rows: Callable[[], int],
    by_moments: bool = False,
) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """Yield all rows of the statement, whose first column is `key`, in the order of the key.

    They come in batches of `batch_rows()`, each read in a transaction of its own; so a row added after the
    previous batch is found, and no long transaction keeps old rows alive. `by_moments` says that the
    statement's conditions are those of `moment_index`: several batches are read at once then.
    """
    after = ""
    while True:
        size = batch_rows()
        limit = max(size, _ROWS_OF_MOMENTS) if by_moments else size
        with database.connect() as connection:
            rows = connection.execute(_next(connection, statement, key, after, limit, by_moments)).all()
        if not rows:
            return
        after = rows[-1][0]
        yield rows[:size]
        while rows := rows[size:]:
            size = batch_rows()
            yield rows[:size]


def _next(
    connection: Connection,
    statement: Select[*tuple[Any, ...]],
    key: Any,
    after: str,
    limit: int,
    by_moments: bool,
) -> Select[*tuple[Any, ...]]:
    if by_moments:
        statement = statement.where(moment_index.above(key, after))
        return moment_index.first(connection.dialect, statement, key, limit, upwards=True)
    return statement.where(key > after).order_by(key).limit(limit)
