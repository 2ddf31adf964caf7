"""A program erases the payload of an event, if its token may."""

from datetime import timedelta

from sqlalchemy import select

from tests.conftest import Workspace
from tests.deliveries.test_payload_retention import upgrading
from tests.reading import json_of
from tests.web.api.conftest import Api, new_api
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.core import clock, ids
from webhooks_app.db.models import AuditEntry, Event
from webhooks_app.extensions import db, services


def has_body() -> bool:
    db.session.rollback()
    return bool(db.session.scalars(select(Event.body)).one())


def test_it_is_erased_once_and_a_repeat_says_so(workspace: Workspace, api: Api) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    [event_id] = workspace.send()
    path = f"/events/{event_id}/payload"

    assert api.refusal("DELETE", path) == (409, "still_pending", None)
    assert has_body()
    answer = api.call("DELETE", f"{path}?cancel_pending=true")
    assert answer.status_code == 200
    first = json_of(answer)
    assert first == {
        "event_id": event_id,
        "payload_erased_at": first["payload_erased_at"],
        "was_erased": False,
        "is_complete": services().write.dialect.name == "sqlite",  # see docs/retention.md
        "attempts_erased": 0,
        "deliveries_canceled": 1,
    }
    assert not has_body()
    again = json_of(api.call("DELETE", path))
    assert (again["was_erased"], again["payload_erased_at"]) == (True, first["payload_erased_at"])
    assert api.read(f"/events/{event_id}")["payload_erased_at"] == first["payload_erased_at"]
    audited = select(AuditEntry.target).where(AuditEntry.action == "event.erase")
    assert list(db.session.scalars(audited)) == [event_id]


def test_it_takes_a_scope_of_its_own_and_the_workspace_of_the_event(
    workspace: Workspace, stranger: Api
) -> None:
    [event_id] = workspace.send()
    path = f"/events/{event_id}/payload"

    others = set(TokenScope) - {TokenScope.EVENTS_ERASE}
    assert new_api(workspace, *others).refusal("DELETE", path)[0] == 403
    assert stranger.refusal("DELETE", path) == (404, "not_found", None)
    assert has_body()
    assert new_api(workspace, TokenScope.EVENTS_ERASE).call("DELETE", path).status_code == 200
    assert not has_body()


def test_what_is_no_event_is_not_found_and_bad_input_refused(workspace: Workspace, api: Api) -> None:
    [event_id] = workspace.send()
    assert api.refusal("DELETE", f"/events/{ids.new('evt')}/payload") == (404, "not_found", None)
    path = f"/events/{event_id}/payload"
    assert api.refusal("DELETE", f"{path}?cancel_pending=maybe")[0] == 400
    assert api.refusal("DELETE", f"{path}?force=true")[0] == 400
    assert has_body()


def test_nothing_is_erased_during_an_upgrade(workspace: Workspace, api: Api) -> None:
    [event_id] = workspace.send()
    upgrading(services().write, until=clock.now() + timedelta(hours=1))
    assert api.refusal("DELETE", f"/events/{event_id}/payload") == (409, "upgrade_under_way", None)
    assert has_body()
