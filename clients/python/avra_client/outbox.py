"""The outbox: events are written into a table of the app's database, in the app's own transaction.

    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.send(session, "order-created", {"order_id": order.id})

When the transaction commits, a relay hands the event over; when it rolls back, there was none.
"""

import inspect
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from avra_client import dbapi, row_ids
from avra_client.client import LARGEST_EVENT_BYTES, JsonText, event_json, to_json
from avra_client.outbox_schema import LONGEST_TYPE, TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection, Insert
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session, scoped_session

    Target = Session | scoped_session[Session] | Connection | dbapi.Connection | dbapi.Cursor

_NAMES = ("id", "type", "data", "created_at")


class Outbox:
    """An outbox's table; `event_types`, if given, are all that the app may send."""

    def __init__(
        self,
        table: str = TABLE,
        *,
        event_types: Collection[str] | None = None,
        paramstyle: str | None = None,
    ) -> None:
        """`paramstyle` is needed for DB-API drivers alone that hide theirs. Raises ValueError."""
        self._table = dbapi.check_table_name(table)
        self._event_types, self._paramstyle = event_types, paramstyle

    def send(
        self,
        target: "Target",
        type: str,
        data: Mapping[str, Any] | JsonText,
    ) -> str:
        """Write an event into the outbox; return the row's id, which becomes its idempotency key.

        `target` is what the app's transaction is open on: a session or connection of SQLAlchemy, or a
        connection or cursor of a DB-API driver or of Django. Nothing is committed here. Raises TypeError or
        ValueError for what the platform could not take: no JSON, over 256 KiB, a type that is not known.
        """
        row = self._row(type, data)
        if not _is_of_sqlalchemy(target):
            self._execute(target, row)
        elif hasattr(target, "run_sync"):
            raise TypeError("await send_async(…) for an AsyncSession or AsyncConnection")
        else:
            self._execute_in_sqlalchemy(target, row)
        return str(row["id"])

    async def send_async(
        self, target: "AsyncSession | AsyncConnection", type: str, data: Mapping[str, Any] | JsonText
    ) -> str:
        """Write an event as `send` does, for SQLAlchemy's AsyncSession and AsyncConnection."""
        row = self._row(type, data)
        await target.execute(self._insert(), row)
        return str(row["id"])

    def _row(self, type: str, data: Mapping[str, Any] | JsonText) -> dict[str, Any]:
        if not isinstance(type, str) or not 0 < len(type) <= LONGEST_TYPE or not type.isprintable():
            raise ValueError(f"type is the name of an event type, of {LONGEST_TYPE} characters at most")
        if self._event_types is not None and type not in self._event_types:
            raise ValueError(f"{type!r} is none of the event types that this outbox takes")
        row_id, text = row_ids.new(), str(data) if isinstance(data, JsonText) else to_json(data)
        size = len(event_json(type, JsonText(text), row_id).encode())
        if size > LARGEST_EVENT_BYTES:
            raise ValueError(f"an event has {LARGEST_EVENT_BYTES} bytes at most; this one has {size}")
        return dict(zip(_NAMES, (row_id, type, text, time.time_ns() // 1_000_000), strict=True))

    def _insert(self) -> "Insert":
        from sqlalchemy import column, insert, table

        schema, _, name = self._table.rpartition(".")
        return insert(table(name, *(column(each) for each in _NAMES), schema=schema or None))

    def _execute_in_sqlalchemy(self, target: Any, row: dict[str, Any]) -> None:
        # A connection out of the engine's pool that is no connection of SQLAlchemy's: `raw_connection()`.
        raw = getattr(target, "dbapi_connection", None)
        if raw is None:
            target.execute(self._insert(), row)
        else:
            self._execute(raw, row)

    def _execute(self, target: Any, row: dict[str, Any]) -> None:
        style = self._paramstyle or dbapi.paramstyle_of(target)
        places = ", ".join(f"{{{name}}}" for name in _NAMES)
        statement = f"INSERT INTO {self._table} ({', '.join(_NAMES)}) VALUES ({places})"
        statement = dbapi.with_placeholders(statement, _NAMES, style)
        is_connection = callable(getattr(target, "cursor", None))
        cursor = target.cursor() if is_connection else target
        if inspect.isawaitable(cursor.execute(statement, dbapi.parameters(row, style))):
            raise TypeError("asynchronous drivers are taken by way of SQLAlchemy: send_async(…)")
        if is_connection:
            cursor.close()


def _is_of_sqlalchemy(target: Any) -> bool:
    return any(each.__module__.partition(".")[0] == "sqlalchemy" for each in type(target).__mro__)


_default = Outbox()
send = _default.send
send_async = _default.send_async
