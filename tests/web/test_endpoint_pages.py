"""The endpoints' pages: list, form, overview and settings."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, select, update
from standardwebhooks import Webhook

from tests.conftest import TESTER, Workspace
from tests.web.conftest import FRAGMENT_HEADERS, Page
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import (
    AttemptRollup,
    AuditEntry,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointHealth,
)
from webhooks_app.endpoints import actions, custom_headers, signing_secrets
from webhooks_app.extensions import db, services

URL = "http://127.0.0.1:9009/hooks"
TYPED: dict[str, Any] = {"url": URL, "name": "Orders", "scope": "chosen", "events": ["batch-lifecycle"]}
MARKUP = '<img src=x onerror=alert(1) hx-get="/">'
SECRET_VALUE = "s3cret-header-value"


@pytest.fixture
def endpoint_id(workspace: Workspace) -> str:
    return workspace.endpoint(URL, name="Orders", headers=[("X-Tenant", SECRET_VALUE)])


def load(endpoint_id: str) -> Endpoint:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Endpoint, endpoint_id)


def only_endpoint() -> Endpoint:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(Endpoint)).one()


def error_at(text: str, field: str) -> str:
    found = re.search(rf'id="{field}-error">([^<]+)<', text)
    assert found, f"no error at {field}"
    return found[1]


def audited_actions() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("endpoints/new", TYPED),
    ("endpoints/{id}/settings", TYPED),
    ("endpoints/{id}/disable", {}),
    ("endpoints/{id}/enable", {}),
    ("endpoints/{id}/delete", {"confirmation": "Orders"}),
]


@pytest.mark.parametrize(("url", "data"), WRITES)
@pytest.mark.parametrize(
    ("who", "status"), [("viewer_page", 403), ("stranger_page", 404), ("anonymous_page", 302)]
)
def test_only_admins_of_the_workspace_write(
    request: pytest.FixtureRequest, endpoint_id: str, url: str, data: dict[str, Any], who: str, status: int
) -> None:
    page: Page = request.getfixturevalue(who)
    before = len(audited_actions())

    response = page.post(url.format(id=endpoint_id), data)

    assert response.status_code == status
    if status == 302:
        assert "/login" in response.location
    assert load(endpoint_id).is_enabled
    assert not load(endpoint_id).deleted_at
    assert len(audited_actions()) == before


@pytest.mark.parametrize(("url", "data"), WRITES)
def test_nothing_is_written_without_a_csrf_token(
    admin_page: Page, endpoint_id: str, url: str, data: dict[str, Any]
) -> None:
    before = len(audited_actions())

    assert admin_page.post(url.format(id=endpoint_id), data, csrf=False).status_code == 400
    assert len(audited_actions()) == before


@pytest.mark.parametrize(("url", "data"), WRITES[1:])
def test_an_unknown_endpoint_is_not_found(admin_page: Page, url: str, data: dict[str, Any]) -> None:
    assert admin_page.post(url.format(id="ep_nobody"), data).status_code == 404


def test_a_deleted_endpoint_is_not_found(admin_page: Page, endpoint_id: str, database: WriteDatabase) -> None:
    actions.remove(database, load(endpoint_id), actor=TESTER)

    assert admin_page.get(f"endpoints/{endpoint_id}").status_code == 404
    assert "Orders" not in admin_page.get("").text


def test_an_endpoint_of_another_workspace_is_not_found_under_ones_own(
    stranger_page: Page, endpoint_id: str
) -> None:
    home = stranger_page.get("/").location
    for tab in ("", "/verify", "/settings", "/test"):
        assert stranger_page.get(f"{home}endpoints/{endpoint_id}{tab}").status_code == 404
    assert stranger_page.post(f"{home}endpoints/{endpoint_id}/disable").status_code == 404
    assert load(endpoint_id).is_enabled


def test_a_new_endpoint_leads_to_its_verification(admin_page: Page) -> None:
    response = admin_page.post("endpoints/new", TYPED | {"timeout": "12", "rate": "50"})

    endpoint = only_endpoint()
    assert response.status_code == 303
    assert response.location.endswith(f"endpoints/{endpoint.id}/verify?new=1")
    assert (endpoint.name, endpoint.url, endpoint.all_events) == ("Orders", URL, False)
    assert (endpoint.timeout_ms, endpoint.rate_per_second) == (12_000, 50)
    assert endpoint.event_types == ["batch-lifecycle"]
    assert "“Orders” added" in admin_page.get(response.location).text


def test_an_endpoint_without_a_name_is_called_by_its_host(admin_page: Page) -> None:
    admin_page.post("endpoints/new", TYPED | {"name": " "})
    assert only_endpoint().name == "127.0.0.1:9009"


def test_all_events_need_no_choice(admin_page: Page, workspace: Workspace) -> None:
    admin_page.post("endpoints/new", TYPED | {"scope": "all", "events": []})

    assert only_endpoint().all_events
    assert workspace.send()
    db.session.rollback()
    assert len(db.session.scalars(select(Delivery)).all()) == 1


def test_only_the_chosen_events_arrive(admin_page: Page, workspace: Workspace) -> None:
    admin_page.post("endpoints/new", TYPED | {"events": ["api-key-creation"]})

    workspace.send()  # batch-lifecycle

    assert only_endpoint().event_types == ["api-key-creation"]
    assert states() == []


def test_an_international_host_is_stored_and_shown_as_punycode(admin_page: Page) -> None:
    response = admin_page.post("endpoints/new", TYPED | {"url": "https://bücher.example/x"})

    assert only_endpoint().url == "https://xn--bcher-kva.example/x"
    assert "In DNS the host is xn--bcher-kva.example." in admin_page.get(response.location).text


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"url": ""}, "url", "Enter the URL"),
        ({"url": "http://10.0.0.7/x"}, "url", "10.0.0.7 is a private address"),
        ({"url": "ftp://a.example/"}, "url", "must start with"),
        ({"url": "https://user:pw@a.example/"}, "url", "user name or password"),
        ({"url": "https://a.example/\0"}, "url", "control character"),
        ({"name": "x" * 101}, "name", "100 characters"),
        ({"name": "a\0b"}, "name", "control character"),
        ({"events": []}, "events", "at least one event"),
        ({"events": ["batch-lifecycle", "no-such-event"]}, "events", "no event “no-such-event”"),
        ({"scope": "all", "events": ["no-such-event"]}, "events", "no event “no-such-event”"),
        ({"scope": "some"}, "scope", "Choose all events"),
        ({"timeout": "0"}, "timeout", "from 1 to 30"),
        ({"timeout": "31"}, "timeout", "from 1 to 30"),
        ({"timeout": "1e1"}, "timeout", "from 1 to 30"),
        ({"rate": "10001"}, "rate", "from 1 to 10,000"),
        ({"rate": "-1"}, "rate", "from 1 to 10,000"),
        ({"headers-0-name": "Host", "headers-0-value": "x"}, "headers-0", "reserved"),
        ({"headers-0-name": "webhook-id", "headers-0-value": "x"}, "headers-0", "reserved"),
        ({"headers-3-name": "X-A", "headers-3-value": ""}, "headers-0", "must not be empty"),
        ({"headers-0-name": "", "headers-0-value": "x"}, "headers-0", "header name"),
        ({"headers-0-name": "X-A", "headers-0-value": "a\r\nb"}, "headers-0", "line breaks"),
        (
            {"headers-0-name": "X-A", "headers-0-value": custom_headers.VALUE_MASK},
            "headers-0",
            "value of X-A again",
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_saved(
    admin_page: Page, wrong: dict[str, Any], field: str, words: str
) -> None:
    response = admin_page.post("endpoints/new", TYPED | wrong)

    assert response.status_code == 422
    assert words in error_at(response.text, field)
    assert db.session.scalars(select(Endpoint)).all() == []


def test_everything_typed_is_kept_when_something_is_wrong(admin_page: Page) -> None:
    typed = TYPED | {
        "url": "nonsense",
        "events": ["api-key-creation", "batch-request"],
        "timeout": "twelve",
        "rate": "70",
        "headers-0-name": "X-Mine",
        "headers-0-value": "typed-value",
    }

    text = admin_page.post("endpoints/new", typed).text

    for value in ("nonsense", "Orders", "twelve", "70", "X-Mine", "typed-value"):
        assert f'value="{value}"' in text
    assert re.findall(r'name="events" value="([^"]+)" checked', text) == ["batch-request", "api-key-creation"]


def test_more_than_twenty_headers_are_refused(admin_page: Page) -> None:
    rows = {f"headers-{n}-{part}": f"X-{n}" for n in range(21) for part in ("name", "value")}

    response = admin_page.post("endpoints/new", TYPED | rows)

    assert response.status_code == 422
    assert "an endpoint may have 20" in response.text


def test_header_rows_come_and_go_without_javascript(admin_page: Page) -> None:
    text = admin_page.post("endpoints/new", TYPED | {"add-header": "1"}).text
    assert 'name="headers-0-name"' in text
    assert f'value="{URL}"' in text
    assert "Nothing was saved" not in text

    # Numbered as after an earlier removal; the button counts the rows that are there.
    rows = {f"headers-{n}-{part}": f"X-{n}" for n in (1, 4, 7) for part in ("name", "value")}
    text = admin_page.post("endpoints/new", TYPED | rows | {"remove-header": "1"}).text
    assert re.findall(r'-name" value="([^"]*)"', text) == ["X-1", "X-7"]
    text = admin_page.post("endpoints/new", TYPED | rows | {"remove-header": "nonsense"}).text
    assert re.findall(r'-name" value="([^"]*)"', text) == ["X-1", "X-4", "X-7"]
    assert db.session.scalars(select(Endpoint)).all() == []


def test_htmx_gets_the_header_rows_alone(admin_page: Page) -> None:
    response = admin_page.post("endpoints/new", TYPED | {"add-header": "1"}, fragment=True)

    assert response.status_code == 200
    assert response.text.lstrip().startswith("<fieldset")
    assert "autofocus" in response.text


def test_a_header_value_that_was_not_touched_stays(app: Flask, admin_page: Page, endpoint_id: str) -> None:
    rows = {"headers-0-name": "x-tenant", "headers-0-value": custom_headers.VALUE_MASK}
    rows |= {"headers-1-name": "X-New", "headers-1-value": "new"}

    response = admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | rows)

    assert response.status_code == 303
    stored = custom_headers.decrypt(services(app).cipher, load(endpoint_id))
    assert stored == [("x-tenant", SECRET_VALUE), ("X-New", "new")]


def test_a_removed_header_is_gone(app: Flask, admin_page: Page, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED)
    assert custom_headers.decrypt(services(app).cipher, load(endpoint_id)) == []


def test_stored_header_values_are_on_no_page(admin_page: Page, endpoint_id: str) -> None:
    for url in ("", *(f"endpoints/{endpoint_id}{tab}" for tab in ("", "/verify", "/test", "/settings"))):
        response = admin_page.get(url)
        assert response.status_code == 200
        assert SECRET_VALUE not in response.text
    assert 'value="X-Tenant"' in response.text
    assert SECRET_VALUE not in admin_page.post(f"endpoints/{endpoint_id}/settings", {"url": "x"}).text


def test_settings_change_the_endpoint(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.post(
        f"endpoints/{endpoint_id}/settings", TYPED | {"name": "Renamed", "timeout": "30", "rate": ""}
    )

    assert response.status_code == 303
    endpoint = load(endpoint_id)
    assert (endpoint.name, endpoint.all_events, endpoint.timeout_ms) == ("Renamed", False, 30_000)
    assert endpoint.rate_per_second is None
    assert audited_actions()[-1] == "endpoint.change"
    assert "Changes saved." in admin_page.get(response.location).text


def test_wrong_settings_change_nothing(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | {"url": "https://a..b/"})

    assert response.status_code == 422
    assert "a dot too many" in error_at(response.text, "url")
    assert load(endpoint_id).url == URL


def test_settings_are_for_admins(viewer_page: Page, endpoint_id: str) -> None:
    for url in ("endpoints/new", f"endpoints/{endpoint_id}/settings", f"endpoints/{endpoint_id}/test"):
        assert viewer_page.get(url).status_code == 403
    page = viewer_page.get(f"endpoints/{endpoint_id}").text
    for button in ("Disable", "Send test event", f"{endpoint_id}/settings"):
        assert button not in page
    assert "Add endpoint" not in viewer_page.get("").text


def test_disabling_holds_what_is_pending(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    workspace.send(3)

    response = admin_page.post(f"endpoints/{endpoint_id}/disable")

    assert response.status_code == 303
    text = admin_page.get(response.location).text
    assert "Disabled by acme@example.com." in text
    assert "3 deliveries are" in text
    assert states() == [DeliveryState.HELD] * 3


@pytest.mark.parametrize(
    ("choice", "state", "words"),
    [
        ("send", DeliveryState.PENDING, "3 held deliveries are on their way"),
        ("discard", DeliveryState.CANCELED, "3 held deliveries were discarded"),
    ],
)
def test_enabling_sends_or_discards_what_was_held(
    admin_page: Page, workspace: Workspace, endpoint_id: str, choice: str, state: DeliveryState, words: str
) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    workspace.send(3)
    assert "3 deliveries were held" in admin_page.get(f"endpoints/{endpoint_id}/settings").text

    response = admin_page.post(f"endpoints/{endpoint_id}/enable", {"held": choice})

    assert response.status_code == 303
    assert words in admin_page.get(response.location).text
    assert load(endpoint_id).is_enabled
    assert states() == [state] * 3


@pytest.mark.parametrize("choice", [{}, {"held": "keep"}])
def test_held_deliveries_ask_for_a_choice(
    admin_page: Page, workspace: Workspace, endpoint_id: str, choice: dict[str, str]
) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    workspace.send()

    response = admin_page.post(f"endpoints/{endpoint_id}/enable", choice)

    assert response.status_code == 422
    assert "Choose what happens" in error_at(response.text, "held")
    assert f'value="{URL}"' in response.text  # the settings above are as they were
    assert not load(endpoint_id).is_enabled


def test_enabling_without_held_deliveries_asks_nothing(admin_page: Page, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert admin_page.post(f"endpoints/{endpoint_id}/enable").status_code == 303
    assert load(endpoint_id).is_enabled


def test_an_enabled_endpoint_is_not_enabled_again(admin_page: Page, endpoint_id: str) -> None:
    assert admin_page.post(f"endpoints/{endpoint_id}/enable").status_code == 303
    assert "endpoint.enable" not in audited_actions()


def test_deleting_needs_the_name(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.post(f"endpoints/{endpoint_id}/delete", {"confirmation": "orders"})

    assert response.status_code == 422
    assert "Type the name" in error_at(response.text, "confirmation")
    assert 'value="orders"' in response.text
    assert load(endpoint_id).deleted_at is None


def test_deleting_cancels_what_waits(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    workspace.send(2)

    response = admin_page.post(f"endpoints/{endpoint_id}/delete", {"confirmation": " Orders "})

    assert response.status_code == 303
    assert "“Orders” deleted" in admin_page.get(response.location).text
    assert load(endpoint_id).deleted_at is not None
    assert states() == [DeliveryState.CANCELED] * 2


def test_an_empty_list_leads_on(admin_page: Page, viewer_page: Page) -> None:
    text = admin_page.get("").text
    assert "No endpoint yet" in text
    assert text.count("endpoints/new") == 1
    assert "endpoints/new" not in viewer_page.get("").text


def test_the_list_tells_how_each_endpoint_fares(
    admin_page: Page, workspace: Workspace, database: WriteDatabase
) -> None:
    failing = workspace.endpoint(URL, name="Failing one")
    workspace.endpoint(URL, name="Quiet one", all_events=False, event_types=["batch-request"])
    seed_rollup(database, failing, "success", 5, 40)
    seed_rollup(database, failing, "connect", 2, 7)
    seed_failure(database, failing, "connect")

    text = admin_page.get("").text

    assert "47 attempts, 7 failed" in text
    assert "Connection failed" in text
    assert "1 of 2 needs attention" in text
    assert "1 of 19" in text
    assert "All events" in text
    assert text.index("Failing one") < text.index("Quiet one")


def test_searching_narrows_the_list(admin_page: Page, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/alpha", name="First")
    workspace.endpoint("http://127.0.0.1:9/beta", name="Second 100%")

    def names(query: str) -> set[str]:
        text = admin_page.get(f"?q={query}").text
        return {name for name in ("First", "Second 100%") if f">{name}</a>" in text}

    assert names("ALPHA") == {"First"}
    assert names("second") == {"Second 100%"}
    assert names("100%25") == {"Second 100%"}  # a percent sign is itself
    assert names("_") == set()
    assert names("%00") == {"First", "Second 100%"}
    assert "No endpoint matches" in admin_page.get("?q=zzz").text


def test_the_state_filters_the_list(admin_page: Page, workspace: Workspace, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/disable")
    assert ">Orders</a>" in admin_page.get("?state=disabled").text
    assert ">Orders</a>" not in admin_page.get("?state=enabled").text
    assert ">Orders</a>" in admin_page.get("?state=nonsense").text


def test_htmx_gets_the_list_alone(admin_page: Page, endpoint_id: str) -> None:
    response = admin_page.fragment("?q=ord")

    assert response.text.lstrip().startswith('<div id="endpoint-list"')
    assert "<html" not in response.text
    assert {"HX-Request", "HX-Request-Type"} <= set(response.vary)


def test_a_fragment_of_an_expired_session_leads_to_the_log_in(anonymous_page: Page) -> None:
    response = anonymous_page.get("", headers=FRAGMENT_HEADERS)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")


def test_the_list_costs_the_same_however_long(admin_page: Page, workspace: Workspace) -> None:
    def statements() -> int:
        count = 0

        def add(*_: object) -> None:
            nonlocal count
            count += 1

        event.listen(db.engine, "before_cursor_execute", add)
        admin_page.get("")
        event.remove(db.engine, "before_cursor_execute", add)
        return count

    workspace.endpoint(URL)
    few = statements()
    for _ in range(10):
        workspace.endpoint(URL)
    assert statements() == few


def test_markup_in_names_and_urls_is_inert(admin_page: Page, workspace: Workspace) -> None:
    endpoint_id = workspace.endpoint(f"http://127.0.0.1:9/?{MARKUP}", name=MARKUP)

    for url in ("", *(f"endpoints/{endpoint_id}{tab}" for tab in ("", "/verify", "/test", "/settings"))):
        text = admin_page.get(url).text
        assert "&lt;img" in text
        assert "<img" not in text
    assert "<img" not in admin_page.get(f"?q={MARKUP}").text
    assert "<img" not in admin_page.post("endpoints/new", TYPED | {"url": MARKUP, "events": [MARKUP]}).text


def test_the_overview_tells_in_words_that_everything_fails(
    admin_page: Page, workspace: Workspace, endpoint_id: str, database: WriteDatabase
) -> None:
    workspace.send()
    seed_failure(database, endpoint_id, "connect")

    text = re.sub(r"<[^>]+>", "", admin_page.get(f"endpoints/{endpoint_id}").text)

    assert "Every attempt in the last 2 h failed: no connection could be made." in text
    assert "Next retry now; 1 delivery waits." in text


def test_a_failure_of_our_own_is_shown_without_a_streak(
    admin_page: Page, endpoint_id: str, database: WriteDatabase
) -> None:
    seed_failure(database, endpoint_id, "secret")
    with database.begin() as connection:
        connection.execute(update(EndpointHealth).values(failing_since=None))

    text = re.sub(r"<[^>]+>", "", admin_page.get(f"endpoints/{endpoint_id}").text)

    assert "The last attempt failed: the signing secret or a custom header could not be decrypted" in text
    assert "1 of 1 needs attention" in admin_page.get("").text


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "nonsense"])
def test_the_overview_draws_each_period(
    admin_page: Page, endpoint_id: str, database: WriteDatabase, period: str
) -> None:
    seed_rollup(database, endpoint_id, "success", 8, 75)
    seed_rollup(database, endpoint_id, "timeout", 13, 25)

    text = admin_page.get(f"endpoints/{endpoint_id}?period={period}").text

    assert "75.0 %" in text
    assert "25 failed" in text
    assert "213 ms" in text  # 128 + 128 * 50 / 75
    assert "Timed out" in text
    assert "<table>" in text


@pytest.mark.parametrize(
    ("outcome", "response"), [("timeout", "timeout"), ("http_410", "4xx"), ("http_5xx", "5xx")]
)
def test_a_reason_leads_to_the_deliveries_that_ended_so(
    admin_page: Page, endpoint_id: str, database: WriteDatabase, outcome: str, response: str
) -> None:
    seed_rollup(database, endpoint_id, outcome, 8, 2)

    text = html.unescape(admin_page.get(f"endpoints/{endpoint_id}?period=7d").text)
    [url] = re.findall(rf'href="([^"]*response={response}[^"]*)"', text)
    log = admin_page.client.get(url)

    assert url.endswith("range=7d")
    assert log.status_code == 200
    assert f'<option value="{response}" selected>' in " ".join(log.text.split())


def test_htmx_gets_the_health_alone(admin_page: Page, endpoint_id: str) -> None:
    text = admin_page.fragment(f"endpoints/{endpoint_id}?period=7d").text
    assert text.lstrip().startswith('<section id="health"')


def states() -> list[DeliveryState]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Delivery.state)))


def seed_rollup(database: WriteDatabase, endpoint_id: str, outcome: str, bucket: int, count: int) -> None:
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    with database.begin() as connection:
        connection.execute(
            insert(AttemptRollup).values(
                endpoint_id=endpoint_id, hour_at=hour, outcome=outcome, latency_bucket=bucket, count=count
            )
        )


def seed_failure(database: WriteDatabase, endpoint_id: str, outcome: str) -> None:
    now = clock.now()
    with database.begin() as connection:
        connection.execute(
            update(EndpointHealth)
            .where(EndpointHealth.endpoint_id == endpoint_id)
            .values(last_failure_at=now, last_failure_outcome=outcome, failing_since=now - timedelta(hours=2))
        )


# ---- The signed request before it is sent


def test_a_test_events_request_is_shown_signed_and_nothing_is_sent(
    admin_page: Page, endpoint_id: str, database: WriteDatabase, workspace: Workspace
) -> None:
    data = {
        "event_type": "batch-lifecycle",
        "data": '{"batch_id": "b<b>", "status": "queued"}',
        "preview": "1",
    }
    for fragment in (True, False):
        shown = admin_page.post(f"endpoints/{endpoint_id}/test", data, fragment=fragment)
        assert shown.status_code == 200
        text = html.unescape(re.search(r'<pre id="signed-request"[^>]*>(.*?)</pre>', shown.text, re.S)[1])
        head, _, body = text.partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        cipher = services(workspace.app).cipher
        [secret] = signing_secrets.reveal(database, cipher, load(endpoint_id), actor=TESTER)
        assert Webhook(secret).verify(body.encode(), headers)["data"]["batch_id"] == "b<b>"
    assert states() == []
    wrong = admin_page.post(f"endpoints/{endpoint_id}/test", data | {"data": "{"})
    assert (wrong.status_code, "signed-request" in wrong.text) == (422, False)
