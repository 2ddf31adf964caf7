"""Runs migrations on the application's own engine, those that are asked for in one transaction."""

import time

from alembic import context
from flask import current_app
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from webhooks_app.db import postgresql_sessions
from webhooks_app.db.database_limits import MigrationLimits
from webhooks_app.db.engines import WriteDatabase

database = current_app.extensions["migrate"].db
limits: MigrationLimits = current_app.config.get("MIGRATION_LIMITS", MigrationLimits())


def run_in_one_transaction() -> None:
    with WriteDatabase(database.engine).without_time_limit().begin() as connection:
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            compare_type=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            shorten_lock_timeout(connection)
            context.run_migrations()


def shorten_lock_timeout(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        milliseconds = round(limits.lock_seconds * 1000)
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")


for attempts_left in reversed(range(limits.attempts)):
    try:
        run_in_one_transaction()
        break
    except OperationalError as error:
        if not attempts_left or not postgresql_sessions.is_lock_timeout(error):
            raise
        time.sleep(limits.pause_seconds)
