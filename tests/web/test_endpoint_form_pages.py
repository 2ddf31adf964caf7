"""The form of an endpoint, new or changed: what is saved, and what is refused at its field."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import Workspace
from tests.web.conftest import Page
from tests.web.endpoints import (
    SECRET_VALUE,
    TYPED,
    URL,
    audited_actions,
    error_at,
    load,
    only_endpoint,
    states,
)
from webhooks_app.core import text_display
from webhooks_app.db.models import (
    Delivery,
    Endpoint,
)
from webhooks_app.endpoints import custom_headers
from webhooks_app.extensions import db, services


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
        ({"name": "\u3164"}, "name", "cannot be seen"),
        ({"name": "Ord\u2800ers"}, "name", "cannot be seen"),
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
            {"headers-0-name": "X-A", "headers-0-value": text_display.MASK},
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
    rows = {"headers-0-name": "x-tenant", "headers-0-value": text_display.MASK}
    rows |= {"headers-1-name": "X-New", "headers-1-value": "new"}

    response = admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | rows)

    assert response.status_code == 303
    stored = custom_headers.decrypt(services(app).cipher, load(endpoint_id))
    assert stored == [("x-tenant", SECRET_VALUE), ("X-New", "new")]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9010/hooks", "http://localhost:9009/hooks", "https://127.0.0.1:9009/hooks"]
)
def test_another_server_needs_the_header_values_again(
    app: Flask, admin_page: Page, endpoint_id: str, url: str
) -> None:
    rows = {"headers-0-name": "X-Tenant", "headers-0-value": text_display.MASK}

    refused = admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | rows | {"url": url})

    assert refused.status_code == 422
    assert "another server now. Enter the value of X-Tenant again." in error_at(refused.text, "headers-0")
    assert text_display.MASK not in refused.text
    assert SECRET_VALUE not in refused.text
    assert load(endpoint_id).url == URL

    rows["headers-0-value"] = "entered-again"
    saved = admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | rows | {"url": url})

    assert saved.status_code == 303
    endpoint = load(endpoint_id)
    assert endpoint.url == url
    assert custom_headers.decrypt(services(app).cipher, endpoint) == [("X-Tenant", "entered-again")]


def test_another_path_keeps_the_header_values(app: Flask, admin_page: Page, endpoint_id: str) -> None:
    rows = {"headers-0-name": "X-Tenant", "headers-0-value": text_display.MASK}

    admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | rows | {"url": f"{URL}/other?x=1"})

    assert load(endpoint_id).url == f"{URL}/other?x=1"
    assert custom_headers.decrypt(services(app).cipher, load(endpoint_id)) == [("X-Tenant", SECRET_VALUE)]


def test_a_header_from_before_its_name_was_reserved_is_shown_as_unsent(
    admin_page: Page, workspace: Workspace
) -> None:
    endpoint_id = workspace.endpoint(URL, headers=[("webhook_signature", SECRET_VALUE)])

    page = admin_page.get(f"endpoints/{endpoint_id}/settings").text
    assert "webhook_signature is not sent any more" in error_at(page, "headers-0")
    rows = {"headers-0-name": "webhook_signature", "headers-0-value": text_display.MASK}
    refused = admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED | rows)
    assert "is reserved" in error_at(refused.text, "headers-0")


def test_a_removed_header_is_gone(app: Flask, admin_page: Page, endpoint_id: str) -> None:
    admin_page.post(f"endpoints/{endpoint_id}/settings", TYPED)
    assert custom_headers.decrypt(services(app).cipher, load(endpoint_id)) == []


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
