"""Replay and cancel: who may, what is answered, where it leads."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import statements
from tests.web.conftest import FRAGMENT_HEADERS, Page
from tests.web.deliveries import newest, state, writes
from webhooks_app.core import clock, ids
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, PendingDelivery
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine


def test_only_admins_of_the_workspace_write(
    waiting: str, viewer_page: Page, stranger_page: Page, anonymous_page: Page, admin_page: Page
) -> None:
    for url, data in writes(waiting):
        assert viewer_page.post(url, data).status_code == 403
        assert stranger_page.post(url, data).status_code == 404
        assert anonymous_page.post(url, data).status_code == 302
        assert admin_page.post(url, data, csrf=False).status_code == 400
        assert admin_page.get(url).status_code in (404, 405)
    assert state(waiting) == "pending"


def test_a_viewer_sees_no_buttons(failed: str, viewer_page: Page) -> None:
    for url in ("deliveries/", f"deliveries/{failed}"):
        text = viewer_page.get(url).text
        assert "/replay" not in text
        assert 'name="delivery"' not in text


def test_replay_without_scripts_goes_back_to_where_it_was_pressed(
    failed: str, admin_page: Page, engine: DeliveryEngine
) -> None:
    answer = admin_page.post(f"deliveries/{failed}/replay")
    assert (answer.status_code, answer.location.rpartition("/")[2]) == (303, failed)
    assert "Replay started." in admin_page.get(answer.location).text
    engine.run(seconds=60)
    assert state(failed) == "delivered"

    answer = admin_page.post(f"deliveries/{failed}/replay", {"back": "status=delivered&x=//evil"})
    assert answer.location.endswith("/deliveries/?status=delivered&x=%2F%2Fevil")


def test_replay_in_place_answers_with_the_row(failed: str, admin_page: Page) -> None:
    answer = admin_page.post(f"deliveries/{failed}/replay", {"back": "", "open": failed}, fragment=True)

    assert answer.status_code == 200
    assert answer.text.lstrip().startswith(f'<tbody id="{failed}"')
    assert 'data-state="retrying"' in answer.text
    assert f'id="{failed}-preview"' in answer.text
    assert json.loads(answer.headers["HX-Trigger"])["toast"]["text"] == "Replay started."
    closed = admin_page.post(f"deliveries/{failed}/replay", {"back": ""}, fragment=True)
    assert f'id="{failed}-preview"' not in closed.text
    whole = admin_page.post(f"deliveries/{failed}/replay", fragment=True)
    assert whole.text.count('<div id="delivery"') == 1
    assert "<html" not in whole.text


def test_a_pending_one_is_sent_now(waiting: str, admin_page: Page) -> None:
    answer = admin_page.post(f"deliveries/{waiting}/replay", fragment=True)
    assert "An attempt starts now" in answer.headers["HX-Trigger"]


def test_replay_says_why_nothing_can_be_sent(
    failed: str, admin_page: Page, database: WriteDatabase, workspace: Workspace
) -> None:
    endpoint = db.session.get_one(Endpoint, newest().endpoint_id)
    workspace.send()
    actions.disable(database, endpoint, actor=TESTER)
    held = newest().id
    assert "disabled" in admin_page.post(f"deliveries/{held}/replay", fragment=True).headers["HX-Trigger"]
    assert state(held) == "held"
    assert "endpoint is disabled" in admin_page.get(f"deliveries/{held}").text
    db.session.rollback()
    actions.remove(database, db.session.get_one(Endpoint, newest().endpoint_id), actor=TESTER)
    assert "deleted" in admin_page.post(f"deliveries/{failed}/replay", fragment=True).headers["HX-Trigger"]
    assert (state(failed), state(held)) == ("failed", "canceled")
    assert admin_page.get(f"deliveries/{failed}").status_code == 200
    assert "(deleted)" in admin_page.get(f"deliveries/?endpoint={endpoint.id}").text


def test_cancel_ends_the_retries(waiting: str, admin_page: Page) -> None:
    answer = admin_page.post(f"deliveries/{waiting}/cancel")
    assert answer.status_code == 303
    assert state(waiting) == "canceled"
    again = admin_page.post(f"deliveries/{waiting}/cancel", {"back": ""}, fragment=True)
    assert json.loads(again.headers["HX-Trigger"])["toast"]["variant"] == "danger"


def test_selected_rows_are_replayed_together(
    failed: str, admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    workspace.send()
    with database.begin() as connection:
        mine = update(PendingDelivery).where(PendingDelivery.delivery_id == newest().id)
        now = clock.now()
        connection.execute(mine.values(claimed_at=now, next_attempt_at=now + timedelta(minutes=1)))
    chosen = [failed, newest().id]

    answer = admin_page.post("deliveries/replay", {"delivery": chosen, "back": ""}, fragment=True)

    assert answer.text.count("<hx-partial") == 2
    toast = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert toast["text"] == "1 replay started. 1 left out: This delivery is being sent right now."
    assert state(failed) == "pending"
    missing = {"delivery": [failed, ids.new("dlv")]}
    assert admin_page.post("deliveries/replay", missing).status_code == 404
    assert admin_page.post("deliveries/replay", {"back": "status=failed"}).location.endswith("?status=failed")


def test_a_replay_without_scripts_goes_back_to_the_endpoints_log(failed: str, admin_page: Page) -> None:
    endpoint_id = newest().endpoint_id
    data = {"back": "status=failed", "tab": endpoint_id}
    answer = admin_page.post(f"deliveries/{failed}/replay", data)
    assert answer.location.endswith(f"/endpoints/{endpoint_id}/deliveries?status=failed")
    for gone in ("ep_x", ids.new("ep"), "\0"):
        answer = admin_page.post(f"deliveries/{failed}/replay", data | {"tab": gone})
        assert answer.location.endswith("/deliveries/?status=failed")


# A press on Replay while an admin waits: who it is, the replay itself, and what the page shows then. One of
# the statements locks the event, so that its payload is not erased meanwhile; a delivery that was finished
# becomes one of those that wait, too.
@pytest.mark.parametrize("press", [1, 2], ids=["finished", "pending"])
@pytest.mark.parametrize(
    ("form", "is_fragment", "status", "count"),
    [
        ({"back": ""}, True, 200, 5),
        ({"back": ""}, False, 303, 4),
        ({}, True, 200, 7),
        ({}, False, 303, 4),
    ],
    ids=["row", "log-without-scripts", "page", "page-without-scripts"],
)
def test_a_replay_costs_few_statements(
    failed: str,
    admin_page: Page,
    form: dict[str, str],
    is_fragment: bool,
    status: int,
    count: int,
    press: int,
) -> None:
    data = form | {"csrf_token": admin_page.token()}
    headers = FRAGMENT_HEADERS if is_fragment else {}
    for _ in range(press):
        with statements() as executed:
            answer = admin_page._open("POST", f"deliveries/{failed}/replay", data=data, headers=headers)

    assert answer.status_code == status
    assert len(executed) == count + (press == 1), executed
