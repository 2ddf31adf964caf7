"""Until when processes of the previous version may run beside those of this code.

What they could not read is not written until then, and what they need is not taken away.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from webhooks_app.db.column_types import UtcDateTime

# How long after its migration an upgrade is over at the latest: all processes are of the new code then.
DURATION = timedelta(days=1)
# The option of a migration's context that says whether it makes the database: no code before ran on it then.
IS_NEW_DATABASE = "is_new_database"
PACKED_HEADS = "packed_heads"
PAYLOADS_APART = "payloads_apart"
SMALL_INDEXES = "small_indexes"
PACKED_BODIES = "packed_bodies"
CONSTANT_HEADERS = "constant_headers"
SMALL_EVENT_INDEX = "small_event_index"  # which the next one takes the place of
EVENT_PART_INDEX = "event_part_index"

_ENDS_AT = text("SELECT ends_at FROM rolling_upgrades WHERE change = :change").columns(ends_at=UtcDateTime())


class UpgradeEnd:
    """One change that waits for the upgrade's end; the database is asked once."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]], change: str) -> None:
        """`connect` opens a transaction or a connection to ask by."""
        self._connect = connect
        self._change = change
        self._ends_at: datetime | None = None
        self._is_known = False

    def is_over(self, now: datetime) -> bool:
        """Return whether no process of the previous version runs any more. Raises DBAPIError."""
        if not self._is_known:
            with self._connect() as connection:
                self._ends_at = read_end_of_old_code(connection, self._change)
            self._is_known = True
        return self._ends_at is None or now >= self._ends_at


def read_end_of_old_code(connection: Connection, change: str) -> datetime | None:
    """Return when the upgrade that brought the change is over; None where no code before ran here."""
    ends_at: datetime | None = connection.scalar(_ENDS_AT, {"change": change})
    return ends_at
