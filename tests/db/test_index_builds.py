"""An upgrade builds indexes beside writers, and keeps those that the code before asks for while it rolls."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.conftest import autocommit, make_settings, new_workspace
from tests.db.test_migrations import own_database
from webhooks_app.app import create_app
from webhooks_app.cli.schema import downgrade, upgrade
from webhooks_app.core import clock
from webhooks_app.db import index_builds
from webhooks_app.extensions import db, services

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
SMALL, REPLACED = set(index_builds.SMALL), set(index_builds.REPLACED)


@pytest.fixture
def upgraded_url(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """A database that had an event when it was upgraded to these indexes."""
    with own_database(database_url) as url:
        app = create_app(make_settings(url, redis_url, tmp_path))
        with app.app_context():
            upgrade()
            assert _indexes() == SMALL
            workspace = new_workspace(app, "Acme")
            workspace.endpoint("https://a.example.com/")
            downgrade(revision="0031")
            assert _indexes() == REPLACED
            workspace.send(3)
            upgrade()
            yield url
            db.session.remove()
            db.engine.dispose()


def test_new_ones_are_built_and_old_ones_dropped_a_day_later(upgraded_url: str) -> None:
    assert _indexes() == REPLACED
    index_builds.bring_up_to_date(services().write, now=clock.now())
    assert _indexes() == SMALL | REPLACED
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    assert _indexes() == SMALL
    # From now on it is left alone, whatever is done to it by hand.
    autocommit(upgraded_url, "DROP INDEX ix_deliveries_by_type")
    index_builds.bring_up_to_date(services().write, now=clock.now() + timedelta(hours=25))
    assert _indexes() == SMALL - {"ix_deliveries_by_type"}


def test_one_that_was_given_up_half_way_is_built_anew(upgraded_url: str) -> None:
    index_builds.bring_up_to_date(services().write, now=clock.now())
    invalid = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_events_by_workspace'::regclass"
    autocommit(upgraded_url, invalid)
    assert _indexes() == SMALL - {"ix_events_by_workspace"} | REPLACED
    index_builds.bring_up_to_date(services().write, now=clock.now())
    assert _indexes() == SMALL | REPLACED


def _indexes() -> set[str]:
    """Those of the two kinds that are there and valid."""
    names = text("""
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisvalid
    """)
    with db.engine.connect() as connection:
        return set(connection.scalars(names)) & (SMALL | REPLACED)
