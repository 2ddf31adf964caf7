"""Whether all processes that run can read what this code may write."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, or_, select

from webhooks_app.core import clock
from webhooks_app.db import database_clock, rolling_upgrades, transient_errors
from webhooks_app.monitoring.own_report import REPORTS, WEB, WORKER

# A process that reported within this time may still run, though it be silent now.
HEARD_WITHIN = timedelta(minutes=2)
# So long an answer holds: a process of the code before that starts is known that much later.
ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """A way of storing rows: the change of `rolling_upgrades` that brought it, and its `reads_format`."""

    change: str
    number: int


PACKED_BODIES = StoredFormat(rolling_upgrades.PACKED_BODIES, 1)
CONSTANT_HEADERS = StoredFormat(rolling_upgrades.CONSTANT_HEADERS, 2)


class FormatGate:
    """Whether rows may be stored in a format; one per process and format.

    Only once the upgrade that brought it is over, and while no web or worker runs that could not read them.
    Doubt means that they are stored as before, which all code reads.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        stored_format: StoredFormat,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`connect` opens a transaction or a connection to ask by."""
        self._connect = connect
        self._format = stored_format
        self._answer_seconds = answer_seconds
        self._is_allowed = False
        self._asked_at: float | None = None

    def is_allowed(self) -> bool:
        """Tell whether the format may be used now; asks the database every few seconds."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._answer_seconds:
            self._is_allowed, self._asked_at = self._ask(), now
        return self._is_allowed

    def _ask(self) -> bool:
        try:
            with self._connect() as connection:
                return _is_upgrade_over(connection, self._format) and not _has_older_reader(
                    connection, self._format
                )
        except transient_errors.DATABASE_ERRORS:
            # Nothing for which an event is refused: the schema may be from before this code, and a database
            # that is away is told of by whoever needs it.
            return False


def _is_upgrade_over(connection: Connection, stored_format: StoredFormat) -> bool:
    """Tell so by the row that the migration writes; without it, the schema is from before that."""
    ends_at = rolling_upgrades.read_end(connection, stored_format.change)
    return ends_at is not None and clock.now() >= ends_at


def _has_older_reader(connection: Connection, stored_format: StoredFormat) -> bool:
    heard_since = database_clock.read(connection) - HEARD_WITHIN
    older = select(REPORTS.c.id).where(
        REPORTS.c.kind.in_((WEB, WORKER)),
        REPORTS.c.ended_at.is_(None),
        REPORTS.c.reported_at > heard_since,
        or_(REPORTS.c.reads_format.is_(None), REPORTS.c.reads_format < stored_format.number),
    )
    return connection.execute(older.limit(1)).first() is not None
