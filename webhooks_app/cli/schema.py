"""Migrations, up and down, for whoever runs them; no long-lived process loads what they need."""

import os
from argparse import Namespace
from collections.abc import Sequence

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from flask_migrate import Config, Migrate
from flask_migrate import downgrade as migrate_down
from flask_migrate import upgrade as migrate_up

from webhooks_app import config
from webhooks_app.extensions import db

_MIGRATIONS = str(config.PACKAGE / "db" / "migrations")


class _Migrations(Migrate):  # type: ignore[misc]  # Flask-Migrate has no types
    """Flask-Migrate for a folder of any name: Alembic takes a percent sign for the begin of a reference."""

    def get_config(
        self, directory: str | None = None, x_arg: object = None, opts: Sequence[str] | None = None
    ) -> Config:
        folder = str(directory or self.directory)
        config = Config(os.path.join(folder, "alembic.ini"))
        config.set_main_option("script_location", folder.replace("%", "%%"))
        config.cmd_opts = Namespace(x=[], **dict.fromkeys(opts or (), True))
        return self.call_configure_callbacks(config)


def upgrade(*, directory: str = _MIGRATIONS) -> None:
    """Bring the schema of the current application up to date, each revision in a transaction of its own.

    One for all would hold the locks of each until the end, and wait for others that a request holds while it
    waits for those. An empty database, which nobody uses yet, gets all at once.
    """
    _prepare()
    for revision in _missing(directory):
        migrate_up(directory=directory, revision=revision)


def downgrade(*, revision: str, directory: str = _MIGRATIONS) -> None:
    """Bring the schema of the current application back to an older revision."""
    _prepare()
    migrate_down(directory=directory, revision=revision)


def _missing(directory: str) -> list[str]:
    """Return the revisions that the database lacks, in their order. Raises CommandError where it is newer."""
    scripts = ScriptDirectory.from_config(current_app.extensions["migrate"].migrate.get_config(directory))
    with db.engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return ["head"]
    scripts.get_revision(current)
    return [each.revision for each in scripts.iterate_revisions("head", current)][::-1]


def _prepare() -> None:
    if "migrate" not in current_app.extensions:
        _Migrations(current_app, db, directory=_MIGRATIONS, render_as_batch=True)
