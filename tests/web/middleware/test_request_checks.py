"""What no view gets to see."""

import logging

import pytest
from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from tests.conftest import Workspace, make_settings
from tests.reading import json_of
from tests.web.api.events import EVENT, count
from tests.web.conftest import Page
from webhooks_app.app import create_app
from webhooks_app.config import Settings
from webhooks_app.db.models import Event
from webhooks_app.web.middleware import forwarded_headers

FORGED = {
    "Forwarded": "for=203.0.113.9;proto=https",
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "444",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Proto": "https",
    "X-Real-IP": "203.0.113.9",
    "Script-Name": "/evil",
}


@pytest.mark.parametrize(
    "url",
    ["/w/%00/members/", "endpoints/%00", "deliveries/%00", "recoveries/%00"],
)
def test_a_nul_in_an_address_is_nothing_there(admin_page: Page, url: str) -> None:
    assert admin_page.get(url).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        *(
            "?q=%00",
            "?q=a%00b",
            "deliveries/?q=%00",
            "deliveries/?event=%00",
            "deliveries/?before=%00",
            "audit?q=%00",
        ),
        *("deliveries/changes?seen=%00~x", "deliveries/export?format=csv&q=%00", "recoveries/new?status=%00"),
        *("/w/x?a%00b=1", "/login?next=%00"),
    ],
)
def test_a_nul_in_a_query_is_named(admin_page: Page, url: str) -> None:
    answer = admin_page.get(url)
    assert answer.status_code == 400
    assert "holds a NUL character, which nothing holds. Leave it out." in answer.text


@pytest.mark.parametrize(
    ("path", "query"),
    [("/api/v1/endpoints/by-name/Gr\xf6\xdfe", ""), ("/api/v1/endpoints", "name=Gr%F6%DFe"), ("/w/\xff", "")],
)
def test_an_address_in_another_encoding_is_refused(
    app: Flask, workspace: Workspace, path: str, query: str
) -> None:
    environ = create_environ(headers=workspace.headers) | {"PATH_INFO": path, "QUERY_STRING": query}
    body, status, _ = run_wsgi_app(app, environ)
    assert status == "400 BAD REQUEST"
    assert b"is not in UTF-8" in b"".join(body)


def test_a_doubled_slash_leads_nowhere(app: Flask, workspace: Workspace) -> None:
    answer = app.test_client().post("/api/v1//events", json=EVENT, headers=workspace.headers)
    assert answer.status_code == 404
    assert "There is no /api/v1//events" in json_of(answer)["error"]["message"]
    assert count(Event) == 0


def test_a_nul_in_a_query_of_the_api_is_named(app: Flask, workspace: Workspace) -> None:
    answer = app.test_client().get("/api/v1/event-types?a=%00", headers=workspace.headers)
    assert answer.status_code == 400
    assert json_of(answer)["error"]["message"].startswith("The field “a” holds a NUL character")


FORMS = {
    "/login": ("email", "password"),
    "/workspaces/new": ("name",),
    "{home}profile/name": ("name",),
    "{home}profile/password": ("current", "new"),
    "endpoints/new": ("name", "url", "events", "timeout", "rate", "headers-0-name", "headers-0-value"),
    "{home}members/": ("email", "role"),
    "{home}tokens/": ("name", "scopes", "lifetime"),
    "{home}settings/": ("name", "retention", "payloads", "timeout", "addresses"),
    "deliveries/replay": ("delivery", "back", "tab"),
    "recoveries/": ("status", "q", "event_type", "from", "until"),
}
# What is no field of a form but says which rows, or where to go on.
EXPECTED = {"delivery": 404, "back": 303, "tab": 303}


@pytest.mark.parametrize(("url", "field"), [(url, name) for url, names in FORMS.items() for name in names])
def test_a_nul_in_a_form_is_refused_at_its_field(admin_page: Page, home: str, url: str, field: str) -> None:
    answer = admin_page.post(url.format(home=home), {"name": "a", "email": "a@example.com", field: "a\0b"})
    assert answer.status_code in {422, EXPECTED.get(field, 422)}


def test_an_address_that_no_browser_sends_is_no_bug(anonymous_page: Page) -> None:
    fragment = {"HX-Request-Type": "partial", "HX-Current-URL": "http://["}
    assert anonymous_page.get("deliveries/", headers=fragment).status_code == 401


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "GZIP"])
def test_an_encoded_body_is_refused_and_says_what_is_taken(
    app: Flask, workspace: Workspace, anonymous_page: Page, coding: str
) -> None:
    headers = workspace.headers | {"Content-Encoding": coding}
    answer = app.test_client().post("/api/v1/events", json=EVENT, headers=headers)
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
    assert json_of(answer)["error"]["code"] == "unsupported_media_type"
    assert answer.headers["Connection"] == "close"
    page = anonymous_page._open("POST", "/login", data={"email": "a"}, headers={"Content-Encoding": coding})
    assert (page.status_code, "<h1>" in page.text, page.headers["Accept-Encoding"]) == (415, True, "identity")
    assert count(Event) == 0


def test_a_body_that_says_it_is_not_encoded_is_taken(app: Flask, workspace: Workspace) -> None:
    headers = workspace.headers | {"Content-Encoding": "identity"}
    assert app.test_client().post("/api/v1/events", json=EVENT, headers=headers).status_code == 202


def seen(app: Flask, headers: dict[str, str]) -> list[str]:
    """Return the client's address, scheme, host and root as a view sees them."""
    environ = create_environ("/seen", "http://console.example", headers=headers)
    environ["REMOTE_ADDR"] = "10.0.0.1"
    body, _, _ = run_wsgi_app(app.wsgi_app, environ)
    return b"".join(body).decode().split()


def app_that_shows_what_it_sees(settings: Settings) -> Flask:
    app = create_app(settings)

    @app.get("/seen")
    def show() -> str:
        from flask import request

        return f"{request.remote_addr} {request.scheme} {request.host} {request.script_root or '-'}"

    return app


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_header_of_a_client_is_believed_where_no_proxy_is_configured(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_that_shows_what_it_sees(settings)
    assert seen(app, FORGED) == ["10.0.0.1", "http", "console.example", "-"]
    assert seen(app, FORGED) == ["10.0.0.1", "http", "console.example", "-"]
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert all(name in warning for name in FORGED)
    assert "WEBHOOKS_TRUSTED_PROXIES" in warning


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("proxies", "hops", "client"),
    [
        ("1", "203.0.113.9", "203.0.113.9"),
        ("1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the first was the client's own word
        ("2", "203.0.113.9, 198.51.100.7", "203.0.113.9"),
        ("2", "203.0.113.9", "10.0.0.1"),
    ],
)
def test_as_many_proxies_are_believed_as_are_configured(
    database_url: str,
    redis_url: str,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    proxies: str,
    hops: str,
    client: str,
) -> None:
    trusting = make_settings(database_url, redis_url, settings.instance, WEBHOOKS_TRUSTED_PROXIES=proxies)
    found = seen(app_that_shows_what_it_sees(trusting), FORGED | {"X-Forwarded-For": hops})
    assert (found[0], found[2:]) == (client, ["console.example", "-"])
    assert ("came through 1 by its X-Forwarded-For" in caplog.text) == (client == "10.0.0.1")


@pytest.mark.parametrize("name", forwarded_headers.NAMES)
def test_an_admin_sees_that_a_proxy_is_not_configured(admin_page: Page, viewer_page: Page, name: str) -> None:
    sentence = "which is not believed"
    assert sentence in admin_page.get("", headers={name: "x"}).text
    assert sentence not in admin_page.get("").text
    assert sentence not in viewer_page.get("", headers={name: "x"}).text
