"""Runs migrations on the application's own engine, those that are asked for in one transaction."""

import time

from alembic import context
from flask import current_app
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from webhooks_app.db import postgresql_sessions, rolling_upgrades
from webhooks_app.db.database_limits import MigrationLimits
from webhooks_app.db.dialect_sql import shorten_lock_timeout
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import METADATA

database = current_app.extensions["migrate"].db
limits: MigrationLimits = current_app.config.get("MIGRATION_LIMITS", MigrationLimits())
# Every role can see the locks, but not who holds them; an autovacuum holds one of this mode.
DEADLOCK_SECONDS_IF_VACUUMED = """
    SELECT CAST(setting AS double precision) / 1000 FROM pg_catalog.pg_settings
    WHERE name = 'deadlock_timeout' AND EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_database AS d ON d.oid = l.database
        WHERE d.datname = pg_catalog.current_database() AND l.granted AND l.mode = 'ShareUpdateExclusiveLock'
    )
"""

# Held until the transaction's end, also behind a pooler: who migrates beside us then finds what we have done.
TAKE_TURN = "SELECT pg_catalog.pg_advisory_xact_lock(7290146031)"


def take_turn_and_migrate(*, is_patient: bool) -> None:
    with WriteDatabase(database.engine).without_time_limit().begin() as connection:
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            compare_type=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        # Then no code ran on it that could still run; revisions ask for it by `rolling_upgrades`.
        is_new = not context.get_context().get_current_heads()
        context.get_context().opts[rolling_upgrades.IS_NEW_DATABASE] = is_new
        with context.begin_transaction():
            shorten_lock_timeout(connection, lock_seconds(connection, is_patient=is_patient))
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(TAKE_TURN)
            context.run_migrations()


def lock_seconds(connection: Connection, *, is_patient: bool) -> float:
    if is_patient:  # a second try, which only PostgreSQL's locks are a reason for
        deadlock_seconds = connection.exec_driver_sql(DEADLOCK_SECONDS_IF_VACUUMED).scalar()
        if deadlock_seconds is not None:
            return limits.seconds_past(deadlock_seconds)
    return limits.lock_seconds


for attempt in range(1, limits.attempts + 1):
    try:
        take_turn_and_migrate(is_patient=attempt % 2 == 0)
        break
    except OperationalError as error:
        if attempt == limits.attempts or not postgresql_sessions.is_lock_timeout(error):
            raise
        time.sleep(limits.pause_seconds)
