"""Indexes of the log that PostgreSQL builds and drops beside whoever writes, outside of any transaction.

A migration cannot, as it is one; it leaves a row of `rolling_upgrades`. `avra migrate` then builds the new
indexes, and the hourly job drops those that they replace once no code runs any more that asks for them.
Either resumes where a process stopped.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, text
from sqlalchemy.exc import OperationalError

from webhooks_app.db import advisory_locks, rolling_upgrades
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.event_conditions import part_of
from webhooks_app.db.models import RollingUpgrade
from webhooks_app.db.moment_index import hash_of, moment_of
from webhooks_app.db.transient_errors import Cause, cause_of, reason
from webhooks_app.db.write_connection import WriteConnection

log = logging.getLogger(__name__)

_MOMENT = moment_of("id")
_WORKSPACE = hash_of("workspace_id")


def _of_value(name: str) -> str:
    return f"events (({_WORKSPACE}), {name}, {_MOMENT}) WHERE {name} IS NOT NULL"


# Their names, and what stands behind ON. A migration refers to them: what changes gets another name.
SMALL = {
    "ix_deliveries_by_workspace": f"deliveries (({_WORKSPACE}), {_MOMENT})",
    "ix_deliveries_by_endpoint": f"deliveries (({hash_of('endpoint_id')}), {_MOMENT})",
    "ix_deliveries_by_type": f"deliveries (({hash_of('workspace_id', 'event_type')}), {_MOMENT})",
    "ix_events_by_workspace": f"events (({_WORKSPACE}), {_MOMENT})",
    "ix_events_by_first_value": _of_value("first_value"),
    "ix_events_by_second_value": _of_value("second_value"),
    "ix_events_by_third_value": _of_value("third_value"),
}
REPLACED = (
    *("ix_deliveries_workspace", "ix_deliveries_endpoint", "ix_deliveries_type"),
    *("ix_events_workspace_id_id", "ix_events_first_value", "ix_events_second_value"),
    "ix_events_third_value",
)
SMALL_OF_EVENT = {"ix_deliveries_by_event_part": f"deliveries (({part_of('event_id')}))"}
# The second is of a version between: the same, but for the events of a batch, which were one to it.
REPLACED_OF_EVENT = ("ix_deliveries_event", "ix_deliveries_by_event")


@dataclass(frozen=True, slots=True)
class IndexChange:
    """New indexes in the place of others, as one change of `rolling_upgrades`."""

    change: str
    new: Mapping[str, str]
    replaced: tuple[str, ...]


CHANGES = (
    IndexChange(rolling_upgrades.SMALL_INDEXES, SMALL, REPLACED),
    IndexChange(rolling_upgrades.EVENT_PART_INDEX, SMALL_OF_EVENT, REPLACED_OF_EVENT),
)
# One for all changes, as two builds on one table end in a deadlock.
LOCK = 7290146032
_IS_VALID = text("SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass(:name)")
# The table is NULL where another role builds the index, whose work may not be shown.
_IS_ANY_BEING_BUILT = text("""
    SELECT EXISTS (
        SELECT 1 FROM pg_catalog.pg_stat_progress_create_index
        WHERE datname = pg_catalog.current_database() AND (relid = to_regclass(:table) OR relid IS NULL)
    )
""")
_COUNT_VALID = text("""
    SELECT count(*) FROM pg_catalog.pg_index
    WHERE indisvalid AND indexrelid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)
""")
_HAS_STATISTICS = text("SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stats WHERE tablename = :name)")
_LOCKED = (Cause.DEADLOCK, Cause.LOCKED)


@dataclass(frozen=True, slots=True)
class IndexLimits:
    """How long a drop waits for transactions that may still read the index, and how often to look again.

    `deadlocks`: how many to get over, as with what is built or dropped by hand meanwhile.
    """

    drop_lock_seconds: float = 20.0
    pause_seconds: float = 1.0
    deadlocks: int = 3


DEFAULT_LIMITS = IndexLimits()


def bring_up_to_date(
    database: WriteDatabase,
    *,
    now: datetime,
    should_stop: Callable[[], bool] = lambda: False,
    tell_waiting: Callable[[], None] = lambda: None,
    limits: IndexLimits = DEFAULT_LIMITS,
) -> None:
    """Build what the last upgrade asks for and, once that is over, drop what it replaces.

    Takes seconds for each million of rows, and waits for transactions that are older than a build. One
    process builds at a time; `tell_waiting` is called once where this one waits for another. Told to stop, it
    begins nothing more. Raises DBAPIError; what is missing then is done by the next call.
    """
    if database.dialect.name != "postgresql":
        return
    work = _Work(database, now, should_stop, limits)
    if work.try_finish():
        return
    tell_waiting()
    while not should_stop():
        time.sleep(limits.pause_seconds)
        if work.try_finish():
            return


def unfinished_since(connection: Connection) -> datetime | None:
    """Return since when an index waits to be built or dropped; None where none does."""
    if connection.dialect.name != "postgresql":
        return None
    since = [_unfinished_since(connection, each) for each in CHANGES]
    return min((each for each in since if each is not None), default=None)


def _unfinished_since(connection: Connection, change: IndexChange) -> datetime | None:
    ends_at = rolling_upgrades.read_end_of_old_code(connection, change.change)
    if ends_at is None:
        return None
    is_built = connection.scalar(_COUNT_VALID, {"names": list(change.new)}) == len(change.new)
    return ends_at if is_built else ends_at - rolling_upgrades.DURATION


class _Work:
    def __init__(
        self,
        database: WriteDatabase,
        now: datetime,
        should_stop: Callable[[], bool],
        limits: IndexLimits,
    ) -> None:
        self._database = database
        self._now = now
        self._should_stop = should_stop
        self._limits = limits
        self._deadlocks = 0

    def try_finish(self) -> bool:
        """Do what is due, and tell whether all of it is done; not where another process is at it."""
        try:
            return self._finish()
        except OperationalError as error:
            self._deadlocks += 1
            if self._deadlocks > self._limits.deadlocks or cause_of(error) not in _LOCKED:
                raise
            return False

    def _finish(self) -> bool:
        if not any(self._ends_at(each) for each in CHANGES):
            return True
        with advisory_locks.try_lock(self._database, LOCK) as is_held:
            return is_held and all(self._finish_change(each) for each in CHANGES)

    def _finish_change(self, change: IndexChange) -> bool:
        ends_at = self._ends_at(change)
        if ends_at is None:
            return True
        with self._database.connect_unlimited() as connection:
            if not self._build_missing(connection, change.new):
                return False
        if self._now >= ends_at and self._drop_replaced(change.replaced):
            with self._database.begin() as connection:
                connection.execute(delete(RollingUpgrade).where(RollingUpgrade.change == change.change))
        return True

    def _ends_at(self, change: IndexChange) -> datetime | None:
        with self._database.begin_single() as connection:
            return rolling_upgrades.read_end_of_old_code(connection, change.change)

    def _build_missing(self, connection: WriteConnection, new: Mapping[str, str]) -> bool:
        """Return whether all are there; each that was given up half-way is dropped before."""
        for name, definition in new.items():
            if connection.scalar(_IS_VALID, {"name": name}):
                continue
            # The server goes on with what a process began that was killed.
            if self._should_stop() or connection.scalar(_IS_ANY_BEING_BUILT, {"table": _table(definition)}):
                return False
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
            connection.execute(text(f"CREATE INDEX CONCURRENTLY {name} ON {definition}"))
        # Until then the planner knows nothing of how hashes and moments are distributed.
        unknown = [name for name in new if not connection.scalar(_HAS_STATISTICS, {"name": name})]
        for table in sorted({_table(new[name]) for name in unknown}):
            connection.execute(text(f"ANALYZE {table}"))
        return all(connection.scalar(_IS_VALID, {"name": name}) for name in new)

    def _drop_replaced(self, replaced: Iterable[str]) -> bool:
        """Return whether none is left; one that a long transaction may read stays until the next call."""
        with self._database.connect_unlimited(lock_seconds=self._limits.drop_lock_seconds) as connection:
            return all(self._drop(connection, name) for name in replaced)

    def _drop(self, connection: WriteConnection, name: str) -> bool:
        if self._should_stop():
            return False
        try:
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        except OperationalError as error:
            if cause_of(error) not in _LOCKED:
                raise
            log.warning("index_not_dropped", extra={"index": name, "reason": reason(error)})
            return False
        return True


def _table(definition: str) -> str:
    return definition.split()[0]
