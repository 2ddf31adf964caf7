"""Actions upon an endpoint that somebody else has deleted since its page was loaded."""

import pytest
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Endpoint, Subscription
from webhooks_app.endpoints import actions
from webhooks_app.endpoints.endpoint_values import EndpointValues
from webhooks_app.extensions import db, services


@pytest.mark.parametrize("action", ["change", "enable", "disable", "remove"])
def test_what_comes_behind_a_removal_changes_nothing_and_is_not_in_the_audit_log(
    workspace: Workspace, database: WriteDatabase, action: str
) -> None:
    endpoint = db.session.get_one(Endpoint, workspace.endpoint("https://a.example.com/"))
    db.session.expunge(endpoint)
    db.session.rollback()
    actions.remove(database, endpoint, actor=TESTER)
    before = stored()
    if action == "change":
        values = EndpointValues("Orders", endpoint.url, False, ["batch-lifecycle"])
        actions.change(database, services().cipher, endpoint, values, actor=TESTER)
    elif action == "enable":
        assert actions.enable(database, endpoint, send_held=True, actor=TESTER) == 0
    elif action == "disable":
        actions.disable(database, endpoint, actor=TESTER)
    else:
        actions.remove(database, endpoint, actor=TESTER)
    assert stored() == before


def stored() -> tuple[object, ...]:
    db.session.rollback()
    endpoint = db.session.execute(select(Endpoint.name, Endpoint.state, Endpoint.deleted_at)).one()
    return (
        *endpoint,
        db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all(),
        db.session.scalars(select(Subscription.event_type)).all(),
    )
