"""Runs the migrations on the application's own engine."""

from alembic import context
from flask import current_app

from webhooks_app.databases import writing

target = current_app.extensions["migrate"].db

with writing(target.engine).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=target.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
