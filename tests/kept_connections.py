"""Connections to PostgreSQL that one test leaves to the next, as opening one costs a dozen milliseconds.

Only those to the tests' own database, without a pooler between. Each is reset when it is left.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import make_url

from webhooks_app.db.postgresql_connection import BoundedConnection

MOST_IDLE = 10
# But for the statements that are prepared in it, of which psycopg keeps the list.
_RESET = """
    RESET ALL; RESET SESSION AUTHORIZATION; CLOSE ALL; UNLISTEN *; DISCARD TEMP;
    SELECT pg_catalog.pg_advisory_unlock_all()
"""
# What says which database it is.
_PLACE = ("host", "port", "dbname")


class KeptConnections:
    """Those of a process, to the database that `watch` names."""

    def __init__(self) -> None:
        self._open = BoundedConnection.connect
        self._place: dict[str, Any] | None = None
        self._idle: dict[str, list[BoundedConnection]] = {}

    def watch(self, url: str | None) -> None:
        """Keep the connections to that database from now on, or none."""
        self._place = None
        if url is not None:
            made = make_url(url)
            self._place = _place_of({**made.query, **made.translate_connect_args(database="dbname")})
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Open each connection anew meanwhile: some settings a session has from its beginning only."""
        place, self._place = self._place, None
        yield
        self._place = place

    def connect(self, *arguments: Any, **parameters: Any) -> BoundedConnection:
        """Return one that was left, or open one."""
        if arguments or self._place != _place_of(parameters):
            return self._open(*arguments, **parameters)
        key = repr(sorted((name, value) for name, value in parameters.items() if name != "context"))
        idle = self._idle.setdefault(key, [])
        while idle:
            kept = idle.pop()
            try:
                kept.execute("")  # the server may have ended it meanwhile
            except psycopg.Error:
                kept.close()
            else:
                return kept
        connection = self._open(**parameters)
        connection.left_in = idle  # type: ignore[attr-defined]
        return connection

    def leave(self, connection: Any) -> None:
        """Keep it, if it is of that database and in order; otherwise close it."""
        idle = getattr(connection, "left_in", None)
        if self._place is not None and idle is not None and len(idle) < MOST_IDLE and _is_idle(connection):
            connection.answer_seconds, connection.breaker = 5.0, None
            with suppress(psycopg.Error):
                connection.execute(_RESET)
                idle.append(connection)
                return
        connection.close()


def _is_idle(connection: BoundedConnection) -> bool:
    return not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE


def _place_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: parameters.get(name) for name in _PLACE}


kept = KeptConnections()
