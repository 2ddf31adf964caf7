"""The delivery log's pages: what they show, what they do, who may."""

import csv
import html
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import statements
from tests.receivers import Answer, Receiver
from tests.web.conftest import FRAGMENT_HEADERS, Page
from webhooks_app.core import clock, ids
from webhooks_app.db.database_limits import DatabaseLimits
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Delivery, DeliveryState, Endpoint, Event, PendingDelivery
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine

MARKUP = '<script>alert(1)</script><b hx-get="/evil" hx-trigger="load">\u202e'


def newest() -> Delivery:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(Delivery).order_by(Delivery.id.desc())).first()


def state(delivery_id: str) -> str:
    db.session.rollback()
    return db.session.scalar(select(Delivery.state).where(Delivery.id == delivery_id))


@pytest.fixture
def failed(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase) -> str:
    """A delivery that was attempted once and given up."""
    workspace.endpoint(receiver.url, headers=[("X-Tenant", "s3cret")])
    workspace.send()
    receiver.answer = Answer(410, b"gone")
    engine.run(seconds=5)
    with database.begin() as connection:  # 410 disables
        connection.execute(update(Endpoint).values(state="enabled", updated_at=clock.now()))
    receiver.answer = Answer(200)
    return newest().id


@pytest.fixture
def waiting(workspace: Workspace) -> str:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    return newest().id


def writes(delivery_id: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"deliveries/{delivery_id}/replay", {}),
        (f"deliveries/{delivery_id}/cancel", {}),
        ("deliveries/replay", {"delivery": delivery_id}),
    ]


# ---- Who may


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


def test_another_workspaces_delivery_is_not_there(
    waiting: str, stranger_page: Page, anonymous_page: Page, admin_page: Page, workspace: Workspace
) -> None:
    other = re.search(r"/w/(\w+)/", stranger_page.get("/").location)[1]
    for part in ("", "/row", "/json"):
        assert stranger_page.get(f"deliveries/{waiting}{part}").status_code == 404
        assert stranger_page.get(f"/w/{other}/alerts/webhooks/deliveries/{waiting}{part}").status_code == 404
        assert anonymous_page.get(f"deliveries/{waiting}{part}").status_code == 302
        assert admin_page.get(f"deliveries/{ids.new('dlv')}{part}").status_code == 404
    theirs = f"/w/{other}/alerts/webhooks/deliveries/"
    endpoint_id = newest().endpoint_id
    assert stranger_page.get(f"{theirs}?endpoint={endpoint_id}").status_code == 404
    assert waiting not in stranger_page.get(f"{theirs}?q={waiting}").text.replace(f'value="{waiting}"', "")
    assert stranger_page.get(f"{theirs}changes?seen={waiting}~x").status_code == 204
    for url, data in writes(waiting):
        assert stranger_page.post(f"/w/{other}/alerts/webhooks/{url}", data).status_code == 404


def test_a_viewer_sees_no_buttons(failed: str, viewer_page: Page) -> None:
    for url in ("deliveries/", f"deliveries/{failed}"):
        text = viewer_page.get(url).text
        assert "/replay" not in text
        assert 'name="delivery"' not in text


# ---- Replay and cancel


def test_replay_without_scripts_goes_back_to_where_it_was_pressed(
    failed: str, admin_page: Page, engine: DeliveryEngine
) -> None:
    answer = admin_page.post(f"deliveries/{failed}/replay")
    assert (answer.status_code, answer.location.rpartition("/")[2]) == (303, failed)
    assert "Replay started." in admin_page.get(answer.location).text
    engine.run(seconds=5)
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
    assert "next attempt starts now" in answer.headers["HX-Trigger"]


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


# ---- Pages and fragments


def test_every_address_has_a_whole_page_and_a_part(failed: str, admin_page: Page) -> None:
    for url, part in (
        ("deliveries/?status=failed", '<section class="log"'),
        (f"deliveries/{failed}", "<div id="),
    ):
        page, fragment = admin_page.get(url), admin_page.fragment(url)
        assert "<!doctype html>" in page.text
        assert "<html" not in fragment.text
        assert part in fragment.text
        for answer in (page, fragment):
            assert {"HX-Request", "HX-Request-Type", "Cookie"} <= set(answer.vary)
    assert admin_page.get(f"deliveries/{failed}/row").status_code == 302


def test_the_filter_form_leaves_a_short_address(failed: str, admin_page: Page) -> None:
    headers = FRAGMENT_HEADERS | {"HX-Source": "form#filters"}
    answer = admin_page.get("deliveries/?q=&status=failed&endpoint=&range=&from=", headers=headers)
    assert answer.headers["HX-Push-Url"].endswith("/deliveries/?status=failed")


@pytest.mark.parametrize(
    "query",
    ["before=x", f"after=evt_{'0' * 26}", "status=x", "endpoint=1", "q=dlv_1", "from=x", "response=9"],
)
def test_a_damaged_address_is_refused_with_a_word(waiting: str, admin_page: Page, query: str) -> None:
    page = admin_page.get(f"deliveries/?{query}")
    assert page.status_code == 400
    assert "This filter cannot be used." in page.text


def test_a_row_opens_and_closes(failed: str, admin_page: Page) -> None:
    opened = admin_page.fragment(f"deliveries/{failed}/row?open={failed}").text
    assert 'aria-expanded="true"' in opened
    assert "410" in opened
    assert "batch_id" in opened
    assert "Given up: the endpoint answered 410 Gone." in opened
    assert 'aria-expanded="false"' in admin_page.fragment(f"deliveries/{failed}/row").text


def test_only_what_has_changed_comes_with_a_poll(
    failed: str, admin_page: Page, workspace: Workspace, engine: DeliveryEngine
) -> None:
    workspace.send(2)
    page = admin_page.get("deliveries/").text
    seen = re.findall(r'name="seen" value="([^"]+)"', page)
    poll = html.unescape(re.search(r'id="poll"[^>]*hx-get="([^"]+)"', page)[1])
    arguments = "".join(f"&seen={each}" for each in seen)
    assert len(seen) == 2  # those that can still change
    assert admin_page.fragment(poll + arguments + "&shown=0").status_code == 204

    engine.run(seconds=5)
    workspace.send(1)
    answer = admin_page.fragment(poll + arguments + "&shown=0").text
    assert re.findall(r'<hx-partial hx-target="#(dlv_\w+)" hx-swap="outerMorph">', answer) == [
        each.partition("~")[0] for each in seen
    ]
    assert "1 new delivery<" in answer
    assert failed not in answer
    workspace.send(30)
    assert "25+ new deliveries" in admin_page.fragment(poll + "&shown=1").text
    assert admin_page.fragment("deliveries/changes?newest=x").status_code == 400


def test_the_delivery_page_refreshes_until_nothing_can_change(
    waiting: str, admin_page: Page, database: WriteDatabase
) -> None:
    page = admin_page.get(f"deliveries/{waiting}").text
    poll = html.unescape(re.search(r'id="delivery"[^>]*hx-get="([^"]+)"', page)[1])
    assert admin_page.fragment(poll).status_code == 204
    admin_page.post(f"deliveries/{waiting}/cancel")
    assert 'hx-trigger="every' not in admin_page.fragment(poll).text


def test_empty_logs_lead_on(admin_page: Page, workspace: Workspace) -> None:
    assert "/endpoints/new" in admin_page.get("deliveries/").text
    endpoint_id = workspace.endpoint("https://a.example.com/")
    text = admin_page.get("deliveries/").text
    assert f"/endpoints/{endpoint_id}/test" in text
    assert "/api/v1/events" in text
    assert "Clear filters" in admin_page.get("deliveries/?status=failed").text


# ---- What is shown of what others sent


def test_hostile_content_is_inert(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url, name=MARKUP)
    workspace.send(1, note=MARKUP)
    hostile = MARKUP.encode() + b"\x00\xff<hx-partial hx-target='#log'>"
    receiver.answer = Answer(500, hostile, {"X-Evil": "<img src=x onerror=alert(1)>"})
    engine.run(seconds=5)
    row = newest()

    for url in ("deliveries/", f"deliveries/{row.id}", f"deliveries/{row.id}/row?open={row.id}"):
        text = admin_page.fragment(url).text
        for markup in ("<script>alert", '<b hx-get="/evil"', "<img src=x", "<hx-partial", "\u202e\n", "\x00"):
            assert markup not in text
    whole = admin_page.get(f"deliveries/{row.id}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in whole
    for escape in ("\\u202e", "\\x00", "\\xff"):
        assert f'<span class="escape">{escape}</span>' in whole
    for block in re.findall(r"<pre[^>]*>|<dl class=\"headers\"[^>]*>", whole):
        assert "hx-ignore" in block


def test_the_delivery_page_has_the_request_and_the_response(
    failed: str, admin_page: Page, receiver: Receiver
) -> None:
    text = html.unescape(admin_page.get(f"deliveries/{failed}").text)
    sent = receiver.received[0]
    assert "s3cret" not in text
    assert sent.headers["webhook-signature"] in text
    assert "HTTP/1.1 410 Gone" in text
    curl = re.search(r'<pre id="curl"[^>]*>(.*?)</pre>', text, re.S)[1]
    assert f"webhook-signature: {sent.headers['webhook-signature']}" in curl
    assert "X-Tenant: YOUR X-Tenant VALUE" in curl
    assert sent.body.decode() in curl


def test_a_cut_response_says_so(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(200, b"y" * 20_000)
    engine.run(seconds=5)
    assert "The first 16 KiB; the rest was not kept." in admin_page.get(f"deliveries/{newest().id}").text


def test_the_json_has_every_byte(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(200, b"\x00\xff")
    engine.run(seconds=5)
    row = newest()
    answer = admin_page.get(f"deliveries/{row.id}/json")
    assert answer.mimetype == "application/json"
    [attempt] = answer.json["attempts"]
    assert (attempt["response_body"], attempt["response_body_base64"]) == ("\x00\\xff", "AP8=")
    db.session.rollback()
    assert answer.json["payload"].encode() == db.session.scalars(select(Event.body)).one()
    assert answer.json["status"] == DeliveryState.DELIVERED


# ---- An endpoint's own log


def test_an_endpoints_log_stands_among_its_tabs(
    failed: str, admin_page: Page, workspace: Workspace, viewer_page: Page
) -> None:
    endpoint_id = newest().endpoint_id
    other = workspace.endpoint("https://b.example.com/", name="Other")
    workspace.send()
    url = f"endpoints/{endpoint_id}/deliveries"
    page = admin_page.get(url).text
    assert 'aria-current="page">Deliveries</a>' in page
    assert f'id="{failed}"' in page
    assert "f-endpoint" not in page
    assert f"{url}?status=failed" not in page
    assert len(re.findall(r'<tbody id="dlv_', page)) == 2
    only = admin_page.fragment(f"{url}?status=failed")
    assert re.findall(r'<tbody id="(dlv_\w+)', only.text) == [failed]
    assert viewer_page.get(url).status_code == 200
    assert "No deliveries to this endpoint yet" not in admin_page.get(f"endpoints/{other}/deliveries").text
    assert admin_page.get(f"{url}?from=x&range=custom").status_code == 400
    filtered = admin_page.get(
        url + "?status=failed", headers=FRAGMENT_HEADERS | {"HX-Source": "form#filters"}
    )
    assert filtered.headers["HX-Push-Url"].endswith(f"{url}?status=failed")


def test_a_replay_without_scripts_goes_back_to_the_endpoints_log(failed: str, admin_page: Page) -> None:
    endpoint_id = newest().endpoint_id
    data = {"back": "status=failed", "tab": endpoint_id}
    answer = admin_page.post(f"deliveries/{failed}/replay", data)
    assert answer.location.endswith(f"/endpoints/{endpoint_id}/deliveries?status=failed")
    for gone in ("ep_x", ids.new("ep"), "\0"):
        answer = admin_page.post(f"deliveries/{failed}/replay", data | {"tab": gone})
        assert answer.location.endswith("/deliveries/?status=failed")


def test_a_press_on_replay_takes_few_statements(failed: str, admin_page: Page) -> None:
    token = {"csrf_token": admin_page.token()}
    with statements() as asked:
        answer = admin_page.post(
            f"deliveries/{failed}/replay", {"back": ""} | token, fragment=True, csrf=False
        )
    assert (answer.status_code, state(failed)) == (200, "pending")
    assert len(asked) <= 8, asked


# ---- Export


def test_a_filtered_log_is_exported_whole(
    failed: str, admin_page: Page, viewer_page: Page, workspace: Workspace
) -> None:
    workspace.send(30)
    answer = admin_page.get("deliveries/export?format=csv")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=deliveries-")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len({row["id"] for row in rows}) == 31
    assert rows == sorted(rows, key=lambda row: row["id"], reverse=True)
    [one] = list(
        csv.DictReader(io.StringIO(viewer_page.get("deliveries/export?format=csv&status=failed").text))
    )
    assert (one["id"], one["status"], one["http_status"], one["response"]) == (failed, "failed", "410", "410")
    listed = admin_page.get("deliveries/export?format=json").json
    assert [row["id"] for row in listed] == [row["id"] for row in rows]
    assert admin_page.get("deliveries/export?format=json&status=held").json == []
    for wrong in ("", "?format=xml", "?format=csv&status=x"):
        assert admin_page.get(f"deliveries/export{wrong}").status_code == 400


def test_no_cell_of_an_export_is_a_formula(admin_page: Page, workspace: Workspace) -> None:
    for name in ("=1+1", "+x", "-x", "@x", 'a,"b"'):
        workspace.endpoint("https://a.example.com/", name=name)
    workspace.send()
    rows = list(csv.DictReader(io.StringIO(admin_page.get("deliveries/export?format=csv").text)))
    assert {row["endpoint_name"] for row in rows} == {"'=1+1", "'+x", "'-x", "'@x", 'a,"b"'}


def test_exports_leave_most_threads_to_everybody_else(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("https://a.example.com/")
    workspace.send(3)
    url = f"{admin_page.base}deliveries/export?format=csv"
    under_way = [admin_page.client.get(url) for _ in range(2)]  # of 8 threads; nobody has read them yet
    refused = admin_page.get("deliveries/export?format=csv")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert "Too many exports at once" in refused.text
    for each in under_way:
        each.close()
    assert admin_page.get("deliveries/export?format=csv").status_code == 200


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("database_limits", [DatabaseLimits(lock_seconds=0.3)], indirect=True)
def test_a_table_that_stays_locked_is_said_on_the_page(admin_page: Page, database: WriteDatabase) -> None:
    db.session.remove()
    with database.begin() as blocker:
        blocker.execute(text("SET LOCAL idle_in_transaction_session_timeout = '3s'"))
        blocker.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
        answer = admin_page.get("deliveries/")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert "The database does not answer" in answer.text
    assert admin_page.get("deliveries/").status_code == 200
