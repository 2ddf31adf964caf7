"""Indexes of the log that PostgreSQL builds and drops beside whoever writes, outside of any transaction.

A migration cannot, as it is one; it leaves a row of `rolling_upgrades`. `avra migrate` then builds the new
indexes, and the hourly job drops those that they replace once no code runs any more that asks for them.
Either goes on where a process ended.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, text

from webhooks_app.db import rolling_upgrades
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import RollingUpgrade
from webhooks_app.db.moment_index import hash_of, moment_of

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
_STATE = text("""
    SELECT i.indisvalid, EXISTS (
        SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid
    ) AS is_being_built
    FROM pg_catalog.pg_index i WHERE i.indexrelid = to_regclass(:name)
""")


def bring_up_to_date(database: WriteDatabase, *, now: datetime) -> None:
    """Build what the last upgrade asks for and, once that is over, drop what it replaces.

    Takes seconds for each million of rows. Raises DBAPIError; what is missing then is done by the next call.
    """
    if database.dialect.name != "postgresql":
        return
    with database.begin() as connection:
        ends_at = rolling_upgrades.read_end(connection, rolling_upgrades.SMALL_INDEXES)
    if ends_at is None:
        return
    with database.connect_unlimited() as connection:
        _build_missing(connection)
        if now < ends_at:
            return
        for name in REPLACED:
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
    with database.begin() as connection:
        is_done = RollingUpgrade.change == rolling_upgrades.SMALL_INDEXES
        connection.execute(delete(RollingUpgrade).where(is_done))


def _build_missing(connection: Connection) -> None:
    built = [name for name in SMALL if _build(connection, name)]
    for table in {SMALL[name].split()[0] for name in built}:
        # Until then the planner knows nothing of how hashes and moments are distributed.
        connection.execute(text(f"ANALYZE {table}"))


def _build(connection: Connection, name: str) -> bool:
    """Tell whether the index was built now. One that was given up half-way is dropped before."""
    found = connection.execute(_STATE, {"name": name}).first()
    if found is not None:
        if found.indisvalid or found.is_being_built:
            return False
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
    connection.execute(text(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {SMALL[name]}"))
    return True
