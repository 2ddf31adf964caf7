"""One delivery: its page, its JSON, and what is shown of what others sent."""

import gzip
import html
import re
from base64 import b64decode

from sqlalchemy import select

from tests.conftest import Workspace
from tests.deliveries.conftest import statements
from tests.reading import captured, json_of
from tests.receivers import Answer, Receiver
from tests.web.conftest import Page
from tests.web.deliveries import MARKUP, newest
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import DeliveryState, Event
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine


def test_the_delivery_page_refreshes_until_nothing_can_change(
    waiting: str, admin_page: Page, database: WriteDatabase
) -> None:
    page = admin_page.get(f"deliveries/{waiting}").text
    poll = html.unescape(captured(r'id="delivery"[^>]*hx-get="([^"]+)"', page))
    assert admin_page.fragment(poll).status_code == 204
    admin_page.post(f"deliveries/{waiting}/cancel")
    assert 'hx-trigger="every' not in admin_page.fragment(poll).text


def test_hostile_content_is_inert(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url, name=MARKUP)
    workspace.send(1, note=MARKUP)
    hostile = MARKUP.encode() + b"\x00\xff<hx-partial hx-target='#log'>"
    receiver.answer = Answer(500, hostile, {"X-Evil": "<img src=x onerror=alert(1)>"})
    engine.run(seconds=60)
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
    curl = captured(r'<pre id="curl"[^>]*>(.*?)</pre>', text, re.S)
    assert f"webhook-signature: {sent.headers['webhook-signature']}" in curl
    assert "X-Tenant: YOUR X-Tenant VALUE" in curl
    assert sent.body.decode() in curl


def test_a_cut_response_says_so(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(200, b"y" * 20_000)
    engine.run(seconds=60)
    assert "The first 16 KiB; the rest was not kept." in admin_page.get(f"deliveries/{newest().id}").text


def test_a_response_is_shown_as_its_headers_say(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    packed = gzip.compress(f"在庫なし {MARKUP}".encode("euc-jp", "replace"))
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=EUC-JP"}
    receiver.answer = Answer(500, packed, headers)
    engine.run(seconds=60)

    text = admin_page.get(f"deliveries/{newest().id}").text

    assert "在庫なし &lt;" in text
    assert "Unpacked from gzip. Read as EUC-JP." in text
    stored = json_of(admin_page.get(f"deliveries/{newest().id}/json"))["attempts"][0]
    assert b64decode(stored["response_body_base64"]) == packed


def test_a_success_whose_answer_was_cut_short_says_so(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(1)
    receiver.answer = Answer(200, b"half", {"connection": "close"}, announced_bytes=9)
    engine.run(seconds=60)
    row = newest()
    assert (row.state, row.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert "The answer's body was cut short" in html.unescape(admin_page.get(f"deliveries/{row.id}").text)


def test_the_json_has_every_byte(
    workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, admin_page: Page
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    receiver.answer = Answer(200, b"\x00\xff")
    engine.run(seconds=60)
    row = newest()
    answer = admin_page.get(f"deliveries/{row.id}/json")
    assert answer.mimetype == "application/json"
    shown = json_of(answer)
    [attempt] = shown["attempts"]
    assert (attempt["response_body"], attempt["response_body_base64"]) == ("\x00\\xff", "AP8=")
    db.session.rollback()
    assert shown["payload"].encode() == db.session.scalars(select(Event.body)).one()
    assert shown["status"] == DeliveryState.DELIVERED


def test_the_page_costs_few_statements(failed: str, admin_page: Page) -> None:
    with statements() as executed:
        assert admin_page.get(f"deliveries/{failed}").status_code == 200
    assert len(executed) <= 5, executed  # who, delivery, event, attempts, own workspaces


def test_its_json_spells_moments_as_all_machines_get_them(failed: str, admin_page: Page) -> None:
    answer = json_of(admin_page.get(f"deliveries/{failed}/json"))
    for moment in (answer["created_at"], answer["finished_at"], answer["attempts"][0]["started_at"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    assert answer["next_attempt_at"] is None
