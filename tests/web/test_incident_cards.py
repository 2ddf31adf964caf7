"""An incident on one card: since when, which code, what the receiver says, what changed; and mending it."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.conftest import TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.web.conftest import Page
from tests.web.endpoints import audited_actions, load
from tests.worker.attempted import deliveries, make_due
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import AuditEntry, Delivery, Recovery, RecoveryAction
from webhooks_app.endpoints import actions
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine

MISSING = Answer(404, b'{"error": {"message": "column batch_status does not exist"}}')
MARKUP = b'<b hx-get="/evil">evil</b> <script>alert(1)</script>'


@pytest.fixture
def endpoint_id(workspace: Workspace, receiver: Receiver) -> str:
    return workspace.endpoint(receiver.url, name="Orders")


@pytest.fixture
def failing(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, endpoint_id: str) -> str:
    """An endpoint that took one event, and then none of four."""
    workspace.send()
    engine.run(seconds=60)
    receiver.answer = MISSING
    workspace.send(4)
    engine.run(seconds=60)
    return endpoint_id


def words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def overview(page: Page, endpoint_id: str) -> str:
    return words(page.get(f"endpoints/{endpoint_id}").text)


def live_query(text: str, **more: str) -> str:
    pairs = re.findall(r'name="(\w+)" value="([^"]*)" data-live', text)
    return "&".join(f"{name}={value}" for name, value in {**dict(pairs), **more}.items())


def test_the_card_tells_what_fails_and_why(admin_page: Page, failing: str) -> None:
    text = overview(admin_page, failing)

    assert re.search(r"Failing since (\d+ \w+, )?\d\d:\d\d UTC", text)
    assert "4 × in the log 404 column batch_status does not exist" in text
    assert "Check the URL’s path." in text
    assert re.search(r"Last success (\d+ \w+, )?\d\d:\d\d UTC , answered 200", text)
    assert "Waiting 4 retrying ; the next in" in text


def test_failures_that_differ_in_ids_are_one_line(
    admin_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, endpoint_id: str
) -> None:
    receiver.answer = lambda got: Answer(422, f"delivery {got.headers['webhook-id']} is too new".encode())
    workspace.send(5)
    engine.run(seconds=60)
    assert "5 × in the log 422 delivery … is too new" in overview(admin_page, endpoint_id)


def test_the_last_change_is_named_with_who_made_it(
    admin_page: Page, workspace: Workspace, failing: str, receiver: Receiver
) -> None:
    before = overview(admin_page, failing)
    assert "Last change tester@example.com added this endpoint" in before
    url = f"{receiver.url}?key=s3cret"
    assert admin_page.post(f"endpoints/{failing}/url", {"url": url}).status_code == 303
    admin_page.post(f"endpoints/{failing}/url", {"url": f"{receiver.url}/v2"})

    text = overview(admin_page, failing)

    assert f"Changed since {workspace.admin_email} changed this endpoint (URL)" in text
    assert "the URL was" in text
    assert "s3cret" not in text
    db.session.rollback()
    assert "s3cret" not in " ".join(db.session.scalars(select(AuditEntry.details)))


def test_what_a_receiver_says_is_inert(
    admin_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, endpoint_id: str
) -> None:
    receiver.answer = Answer(500, MARKUP)
    workspace.send(3)
    engine.run(seconds=60)
    for path in (f"endpoints/{endpoint_id}", f"endpoints/{endpoint_id}/deliveries"):
        text = admin_page.get(path).text
        assert "&lt;b hx-get=" in text
        assert "<script>alert" not in text
        assert '<b hx-get="/evil"' not in text


def test_without_an_answer_the_card_says_what_went_wrong(
    admin_page: Page, workspace: Workspace, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint("http://127.0.0.1:9/", name="Blocked")
    workspace.send(2)
    engine.run(seconds=60)
    text = overview(admin_page, endpoint_id)
    assert "2 × in the log Address blocked" in text
    assert "Last success Never" in text


def test_a_test_that_failed_is_no_part_of_it(
    admin_page: Page, receiver: Receiver, engine: DeliveryEngine, failing: str
) -> None:
    receiver.answer = Answer(500, b"only the test")
    admin_page.post(f"endpoints/{failing}/try", {"event_type": "batch-lifecycle"})
    engine.run(seconds=60)
    assert "only the test" not in overview(admin_page, failing)


def test_the_card_is_gone_when_all_is_delivered(
    admin_page: Page, receiver: Receiver, engine: DeliveryEngine, failing: str, database: WriteDatabase
) -> None:
    shown = admin_page.get(f"endpoints/{failing}").text
    receiver.answer = Answer(200)
    make_due(database)
    engine.run(seconds=60)

    response = admin_page.fragment(f"endpoints/{failing}/live?{live_query(shown)}")

    assert "Healthy" in response.text
    assert "Delivering." in response.text
    assert 'id="endpoint-now"' in response.text
    assert "Failing" not in response.text
    assert "Delivering." in overview(admin_page, failing)


def test_nothing_is_sent_again_that_looks_the_same(
    admin_page: Page, failing: str, workspace: Workspace, engine: DeliveryEngine
) -> None:
    for _ in range(2):  # a full hour, which moves the chart, comes once only
        shown = admin_page.get(f"endpoints/{failing}").text
        unchanged = admin_page.fragment(f"endpoints/{failing}/live?{live_query(shown)}")
        if unchanged.status_code == 204:
            break
    assert unchanged.status_code == 204

    workspace.send()
    engine.run(seconds=60)
    response = admin_page.fragment(f"endpoints/{failing}/live?{live_query(shown)}")

    assert "5 ×" in words(response.text)
    assert 'id="fix-url"' not in response.text  # what is being typed stays


def test_other_tabs_ask_for_the_state_alone(admin_page: Page, failing: str) -> None:
    shown = admin_page.get(f"endpoints/{failing}/verify").text
    query = live_query(shown)
    assert query == "state=failing"
    assert admin_page.fragment(f"endpoints/{failing}/live?{query}").status_code == 204
    response = admin_page.fragment(f"endpoints/{failing}/live?state=healthy")
    assert re.findall(r'hx-target="([^"]+)"', response.text) == ["#endpoint-health"]


def test_the_log_begins_with_the_incident(admin_page: Page, failing: str, workspace: Workspace) -> None:
    own = words(admin_page.get(f"endpoints/{failing}/deliveries").text)
    assert re.search(
        r"Failing since (\d+ \w+, )?\d\d:\d\d UTC: 4 × 404\.", own.replace(" :", ":").replace(" .", ".")
    )
    assert "column batch_status does not exist" in own
    filtered = words(admin_page.get(f"deliveries/?endpoint={failing}").text)
    assert "4 × 404" in filtered
    everything = words(admin_page.get("deliveries/").text)
    assert re.search(r"Orders is failing since (\d+ \w+, )?\d\d:\d\d UTC ?: 404 Rejected\.", everything)
    shown = admin_page.get(f"endpoints/{failing}/deliveries").text
    assert admin_page.fragment(f"endpoints/{failing}/live?{live_query(shown)}").status_code == 204
    response = admin_page.fragment(f"endpoints/{failing}/live?{live_query(shown, line='0')}")
    assert re.findall(r'hx-target="([^"]+)"', response.text) == ["#incident-line"]


def test_a_url_is_mended_in_place(admin_page: Page, failing: str) -> None:
    new = "http://127.0.0.1:9010/hooks"
    before = load(failing)
    kept = before.name, before.all_events, before.timeout_ms, before.rate_per_second

    response = admin_page.post(f"endpoints/{failing}/url", {"url": f" {new} "}, fragment=True)

    assert response.status_code == 200
    assert "URL saved" in response.headers["HX-Trigger"]
    assert response.text.lstrip().startswith('<div id="endpoint-now"')
    assert f'value="{new}"' in response.text
    assert re.search(rf'hx-target="#endpoint-address"[^>]*><code title="{new}">', response.text)
    after = load(failing)
    assert after.url == new
    assert (after.name, after.all_events, after.timeout_ms, after.rate_per_second) == kept
    assert audited_actions()[-1] == "endpoint.change"


@pytest.mark.parametrize("url", ["", "ftp://a.example.com/", "https://a..b/", "x" * 3000])
def test_a_url_that_cannot_be_called_is_refused_at_its_field(
    admin_page: Page, failing: str, url: str
) -> None:
    before = load(failing).url
    for fragment in (True, False):
        response = admin_page.post(f"endpoints/{failing}/url", {"url": url}, fragment=fragment)
        assert response.status_code == 422
        assert 'id="url-error"' in response.text
        assert load(failing).url == before


def test_secrets_for_one_server_do_not_follow_the_url_to_another(
    admin_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    endpoint_id = workspace.endpoint(receiver.url, headers=[("X-Key", "s3cret")])
    receiver.answer = MISSING
    workspace.send(3)
    engine.run(seconds=60)

    response = admin_page.post(f"endpoints/{endpoint_id}/url", {"url": "http://127.0.0.1:9011/"})

    assert response.status_code == 422
    assert "This is another server" in response.text
    assert load(endpoint_id).url == receiver.url
    same = admin_page.post(f"endpoints/{endpoint_id}/url", {"url": f"{receiver.url}/v2"})
    assert same.status_code == 303
    assert load(endpoint_id).headers_encrypted


def test_a_test_is_sent_and_its_outcome_watched(
    admin_page: Page, failing: str, receiver: Receiver, engine: DeliveryEngine
) -> None:
    receiver.answer = Answer(200)
    response = admin_page.post(f"endpoints/{failing}/try", {"event_type": "batch-lifecycle"}, fragment=True)
    [poll] = re.findall(r'hx-get="([^"]+)"', response.text)
    assert "Pending" in response.text
    engine.run(seconds=60)

    outcome = admin_page.fragment(html.unescape(poll))

    assert re.search(r"Test batch-lifecycle : Delivered 200 in", words(outcome.text))
    assert "hx-get" not in outcome.text
    assert deliveries()[-1].is_test
    plain = admin_page.post(f"endpoints/{failing}/try", {"event_type": "nonsense"})
    assert plain.status_code == 303
    assert "Test" in overview(admin_page, plain.location.rpartition("endpoints/")[2])


def test_another_endpoints_test_is_not_shown(admin_page: Page, failing: str, workspace: Workspace) -> None:
    other = workspace.endpoint("http://127.0.0.1:9/", name="Other")
    sent = admin_page.post(f"endpoints/{other}/try").location
    test = sent.rpartition("test=")[2]
    assert test not in admin_page.get(f"endpoints/{failing}?test={test}").text


def test_all_that_is_retried_is_sent_at_once(admin_page: Page, failing: str) -> None:
    text = admin_page.get(f"endpoints/{failing}").text
    assert "Send all 4 now" in words(text)
    form = text[text.index('id="incident-send"') :]
    data = dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form.partition("</form>")[0])
    )

    response = admin_page.post("recoveries/", data)

    assert response.status_code == 303
    db.session.rollback()
    recovery = db.session.scalars(select(Recovery)).one()
    assert (recovery.action, recovery.total) == (RecoveryAction.SEND, 4)
    assert recovery.filter["endpoint"] == failing


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("url", {"url": "http://127.0.0.1:9010/"}),
    ("try", {"event_type": "batch-lifecycle"}),
]


@pytest.mark.parametrize(("action", "data"), WRITES)
@pytest.mark.parametrize(
    ("who", "status"), [("viewer_page", 403), ("stranger_page", 404), ("anonymous_page", 302)]
)
def test_only_admins_of_the_workspace_mend(
    request: pytest.FixtureRequest, failing: str, action: str, data: dict[str, Any], who: str, status: int
) -> None:
    page: Page = request.getfixturevalue(who)
    before = audited_actions()
    assert page.post(f"endpoints/{failing}/{action}", data).status_code == status
    assert [each for each in audited_actions()[len(before) :] if not each.startswith("session")] == []


@pytest.mark.parametrize(("action", "data"), WRITES)
def test_an_endpoint_that_is_not_there_is_404(admin_page: Page, action: str, data: dict[str, Any]) -> None:
    assert admin_page.post(f"endpoints/ep_none/{action}", data).status_code == 404


def test_a_viewer_sees_the_card_and_no_button(viewer_page: Page, failing: str) -> None:
    text = viewer_page.get(f"endpoints/{failing}").text
    assert "column batch_status does not exist" in text
    assert "fix-url" not in text
    assert "incident-send" not in text


def test_what_failed_before_the_incident_is_not_in_it(
    admin_page: Page, failing: str, database: WriteDatabase
) -> None:
    with database.begin() as connection:
        first = sorted(each.id for each in deliveries() if each.last_status == 404)[0]
        long_ago = clock.now() - timedelta(days=3)
        connection.execute(update(Delivery).where(Delivery.id == first).values(last_attempt_at=long_ago))
    assert "3 × in the log 404" in overview(admin_page, failing)


def test_a_disabled_endpoint_has_no_card(admin_page: Page, failing: str, database: WriteDatabase) -> None:
    actions.disable(database, load(failing), actor=TESTER)
    text = overview(admin_page, failing)
    assert "Disabled just now." in text
    assert "×" not in text


def test_an_endpoint_that_the_platform_disabled_has_one(
    admin_page: Page, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, endpoint_id: str
) -> None:
    receiver.answer = Answer(410, b"moved to v2")
    workspace.send()
    engine.run(seconds=60)
    workspace.send()
    text = overview(admin_page, endpoint_id)
    assert "Auto-disabled since" in text
    assert "1 × in the log 410 moved to v2" in text
    assert "1 held" in text
    assert "Enable" in text
