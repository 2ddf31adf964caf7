"""The schema up, down and up again, with data in it."""

import shutil
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.conftest import Workspace, make_settings, new_workspace
from webhooks_app.app import create_app
from webhooks_app.cli.schema import downgrade, upgrade
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
