"""Migrations, up and down, for whoever runs them; no long-lived process loads what they need."""

from flask import current_app
from flask_migrate import Migrate
from flask_migrate import downgrade as migrate_down
from flask_migrate import upgrade as migrate_up

from webhooks_app import config
from webhooks_app.extensions import db

_MIGRATIONS = str(config.PACKAGE / "db" / "migrations")


def upgrade(*, directory: str = _MIGRATIONS) -> None:
    """Bring the schema of the current application up to date."""
    _prepare()
    migrate_up(directory=directory)


def downgrade(*, revision: str, directory: str = _MIGRATIONS) -> None:
    """Bring the schema of the current application back to an older revision."""
    _prepare()
    migrate_down(directory=directory, revision=revision)


def _prepare() -> None:
    if "migrate" not in current_app.extensions:
        Migrate(current_app, db, directory=_MIGRATIONS, render_as_batch=True)
