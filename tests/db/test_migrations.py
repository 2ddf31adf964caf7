"""The schema up, down and up again, with data in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import create_engine, func, make_url, select, text
from sqlalchemy.exc import OperationalError

from tests.conftest import Workspace, make_settings, new_workspace
from webhooks_app.app import create_app
from webhooks_app.cli.schema import downgrade, upgrade
from webhooks_app.db.database_limits import MigrationLimits
from webhooks_app.db.models import ApiToken, Delivery, Endpoint, Member, SigningSecret
from webhooks_app.extensions import db


@pytest.mark.parametrize("has_events", [False, True])
def test_what_is_in_it_stays_through_a_downgrade(
    has_events: bool, sqlite_template: Path, redis_url: str, tmp_path: Path
) -> None:
    shutil.copy(sqlite_template, tmp_path / "test.db")
    app = create_app(make_settings(f"sqlite:///{tmp_path / 'test.db'}", redis_url, tmp_path))
    with app.app_context():
        _fill(new_workspace(app, "Acme"), has_events)
        before = _counts(app)
        downgrade(revision="0001")
        upgrade()
        assert _counts(app) == before
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_one_revision_waits_for_does_not_hold_the_locks_of_those_before(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with _own_database(database_url) as url:
        app = create_app(make_settings(url, redis_url, tmp_path))
        app.config["MIGRATION_LIMITS"] = MigrationLimits(lock_seconds=0.1, pause_seconds=0, attempts=1)
        with app.app_context():
            upgrade()
            downgrade(revision="0020")
            with db.engine.begin() as reading:
                reading.execute(select(func.count()).select_from(text("api_tokens")))  # of which 0022 is
                with pytest.raises(OperationalError):
                    upgrade()
            with db.engine.connect() as connection:
                assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0021"
            upgrade()
            db.engine.dispose()


@contextmanager
def _own_database(server_url: str) -> Iterator[str]:
    url = make_url(server_url)
    name = f"{url.database}_migrated"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
            yield url.set(database=name).render_as_string(hide_password=False)
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        server.dispose()


def _fill(workspace: Workspace, has_events: bool) -> None:
    workspace.endpoint("https://a.example.com/")
    if has_events:
        workspace.send(3)


def _counts(_app: Flask) -> dict[str, int]:
    db.session.rollback()
    return {
        model.__tablename__: db.session.scalar(select(func.count()).select_from(model)) or 0
        for model in (Member, ApiToken, Endpoint, SigningSecret, Delivery)
    }
