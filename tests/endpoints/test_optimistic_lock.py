"""Whoever acts upon an endpoint as it was read is refused once it was changed, whatever they do."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Endpoint
from webhooks_app.endpoints import actions, signing_secrets
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.endpoints.optimistic_lock import ChangedMeanwhile
from webhooks_app.extensions import db, services

VALUES = EndpointValues(name="Mine", url="https://b.example.com/", all_events=True, event_types=())
Act = Callable[[WriteDatabase, Endpoint, datetime], object]
ACTIONS: dict[str, Act] = {
    "change": lambda database, endpoint, seen_at: actions.change(
        database, services().cipher, endpoint, VALUES, seen_at=seen_at, actor=TESTER
    ),
    "disable": lambda database, endpoint, seen_at: actions.disable(
        database, endpoint, seen_at=seen_at, actor=TESTER
    ),
    "enable": lambda database, endpoint, seen_at: actions.enable(
        database, endpoint, send_held=True, seen_at=seen_at, actor=TESTER
    ),
    "remove": lambda database, endpoint, seen_at: actions.remove(
        database, endpoint, seen_at=seen_at, actor=TESTER
    ),
    "rotate": lambda database, endpoint, seen_at: signing_secrets.rotate(
        database, services().cipher, endpoint, overlap=timedelta(0), seen_at=seen_at, actor=TESTER
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_upon_an_older_endpoint_changes_nothing(
    workspace: Workspace, database: WriteDatabase, name: str
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint("https://a.example.com/"))
    recorded = len(db.session.scalars(select(AuditEntry.id)).all())
    with pytest.raises(ChangedMeanwhile):
        ACTIONS[name](database, endpoint, endpoint.updated_at - timedelta(microseconds=1))
    db.session.rollback()
    assert len(db.session.scalars(select(AuditEntry.id)).all()) == recorded

    ACTIONS[name](database, endpoint, endpoint.updated_at)
    db.session.rollback()
    assert len(db.session.scalars(select(AuditEntry.id)).all()) == recorded + 1
