"""Whether all processes that run can read what this code may write."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import IntEnum
from functools import partial
from itertools import takewhile

from sqlalchemy import Connection, func, select

from webhooks_app.core import clock
from webhooks_app.db import database_clock, rolling_upgrades, transient_errors
from webhooks_app.monitoring.own_report import REPORTS, WEB, WORKER

# A process that reported within this time may still run, even if it is silent now.
HEARD_WITHIN = timedelta(minutes=2)
# An answer is reused for this long, so an older process that starts is noticed that much later.
ANSWER_SECONDS = 5.0


class StoredFormat(IntEnum):
    """A way of storing rows, by its `reads_format`; whoever reads one reads those before."""

    PLAIN = 0
    PACKED_BODIES = 1
    # Headers that attempts share, and no list of values beside the columns that hold the same.
    SHARED_VALUES = 2


_CHANGES = {
    StoredFormat.PACKED_BODIES: rolling_upgrades.PACKED_BODIES,
    StoredFormat.SHARED_VALUES: rolling_upgrades.CONSTANT_HEADERS,
}


class StoredFormats:
    """How rows may be stored; one per process.

    A format is used only once the upgrade that brought it is over, and while no web or worker runs that could
    not read it. Doubt means that they are stored plain, which all code reads.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Connection]],
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`connect` opens a transaction or a connection to ask by."""
        self._connect = connect
        self._answer_seconds = answer_seconds
        self._newest = StoredFormat.PLAIN
        self._asked_at: float | None = None

    def newest(self) -> StoredFormat:
        """Return the newest format that may be used now; asks the database every few seconds."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= self._answer_seconds:
            self._newest, self._asked_at = self._ask(), now
        return self._newest

    def _ask(self) -> StoredFormat:
        try:
            with self._connect() as connection:
                read_by_all = _newest_read_by_all(connection)
                known = takewhile(lambda each: each <= read_by_all, _CHANGES)
                over = takewhile(partial(_is_upgrade_over, connection), known)
                return max(over, default=StoredFormat.PLAIN)
        except transient_errors.DATABASE_ERRORS:
            # No reason to refuse an event: the schema may be from before this code, and a database that is
            # away is reported by whoever needs it.
            return StoredFormat.PLAIN


def _is_upgrade_over(connection: Connection, stored_format: StoredFormat) -> bool:
    """Return whether the migration's row says so; without that row, the schema is older than the format."""
    ends_at = rolling_upgrades.read_end_of_old_code(connection, _CHANGES[stored_format])
    return ends_at is not None and clock.now() >= ends_at


def _newest_read_by_all(connection: Connection) -> int:
    heard_since = database_clock.read(connection) - HEARD_WITHIN
    oldest = select(func.min(func.coalesce(REPORTS.c.reads_format, StoredFormat.PLAIN.value))).where(
        REPORTS.c.kind.in_((WEB, WORKER)), REPORTS.c.ended_at.is_(None), REPORTS.c.reported_at > heard_since
    )
    found = connection.scalar(oldest)
    return max(StoredFormat) if found is None else found
