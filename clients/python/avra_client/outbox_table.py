"""The statements that a relay runs on the outbox's table, whatever the driver, and their transactions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from avra_client import dbapi
from avra_client.outbox_schema import TABLE

# Placeholders of one statement: every driver and database takes as many.
_AT_ONCE = 400
# Relays that share a table may meet again, but seldom twice in a row.
_TRIES_OF_A_DEADLOCK = 5


class OutboxTable:
    """The table, on one connection."""

    def __init__(
        self, connection: dbapi.Connection, table: str = TABLE, *, answer_seconds: float | None = None
    ) -> None:
        """`answer_seconds` is what a transaction may take, None for ever: the connection is closed then."""
        self._connection, self._table = connection, dbapi.check_table_name(table)
        self._style, self._dialect = dbapi.paramstyle_of(connection), dbapi.dialect_of(connection)
        self._answer_seconds = answer_seconds

    def close(self) -> None:
        self._connection.close()

    def _update(
        self, change: str, values: dict[str, Any], row_ids: Sequence[str], condition: str = ""
    ) -> None:
        for places, ids in pieces(row_ids):
            # In the order of the statement, as some drivers take values by their places.
            ours = {name: values[name] for name in values if name == "token" and condition}
            others = {name: value for name, value in values.items() if name not in ours}
            self._run(
                f"UPDATE {self._table} SET {change} WHERE id IN ({places}){condition}", others | ids | ours
            )

    def _delete(self, row_ids: Sequence[str]) -> None:
        for places, ids in pieces(row_ids):
            self._run(f"DELETE FROM {self._table} WHERE id IN ({places})", ids)

    @contextmanager
    def _transaction(self, *, writes: bool = True) -> Iterator[None]:
        with dbapi.ended_after(self._connection, self._answer_seconds):
            try:
                if self._dialect == "sqlite":  # a reader that turns writer may be refused
                    self._connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                yield
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def _all(self, statement: str, values: dict[str, Any]) -> Sequence[Any]:
        cursor = self._connection.cursor()
        self._execute(cursor, statement, values)
        found: Sequence[Any] = cursor.fetchall()
        cursor.close()
        return found

    def _run(self, statement: str, values: dict[str, Any]) -> int:
        cursor = self._connection.cursor()
        self._execute(cursor, statement, values)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def _execute(self, cursor: Any, statement: str, values: dict[str, Any]) -> None:
        with_places = dbapi.with_placeholders(statement, list(values), self._style)
        cursor.execute(with_places, dbapi.parameters(values, self._style))


def pieces(row_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield their placeholders and the ids under the names of these, in as many pieces as statements take."""
    for start in range(0, len(row_ids), _AT_ONCE):
        named = {f"id{at}": row_id for at, row_id in enumerate(row_ids[start : start + _AT_ONCE])}
        yield ", ".join(f"{{{name}}}" for name in named), named


def past_deadlocks(transaction: Callable[[], None]) -> None:
    """Run a transaction, and again where the database ended it for another one; a few times at most."""
    for _ in range(_TRIES_OF_A_DEADLOCK - 1):
        try:
            return transaction()
        except Exception as error:  # each driver has error classes of its own
            if not dbapi.is_deadlock(error):
                raise
    return transaction()
