"""Runs the migrations on the application's own engine, all of them in one transaction."""

import time

from alembic import context
from flask import current_app
from sqlalchemy.exc import OperationalError

from webhooks_app.db import engines
from webhooks_app.db.engines import WriteDatabase

target = current_app.extensions["migrate"].db


def run() -> None:
    with WriteDatabase(target.engine).begin() as connection:
        context.configure(
            connection=connection,
            target_metadata=target.metadata,
            compare_type=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            engines.limit_migration(connection)
            context.run_migrations()


for tries_left in reversed(range(engines.MIGRATION_TRIES)):
    try:
        run()
        break
    except OperationalError as error:
        if not tries_left or not engines.is_lock_timeout(error):
            raise
        time.sleep(engines.MIGRATION_PAUSE_SECONDS)
