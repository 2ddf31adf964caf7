"""From where a form may be sent, over HTTPS."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

from tests.conftest import PASSWORD, Workspace, make_settings, new_workspace, opened
from tests.patience import patient_app
from tests.web.conftest import Page
from webhooks_app.transport.host_names import canonical_host

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CONSOLE = "https://console.example.com"
FORWARDED = {"Host": "console.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


@pytest.fixture
def app(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The console behind a proxy that speaks HTTPS."""
    settings = make_settings(
        database_url,
        redis_url,
        tmp_path,
        WEBHOOKS_BASE_URL=CONSOLE,
        WEBHOOKS_TRUSTED_PROXIES="1",
    )
    with opened(patient_app(settings)) as app:
        yield app


@pytest.fixture
def workspace(app: Flask) -> Workspace:
    return new_workspace(app, "Acme")


def test_an_international_name_of_the_console_is_the_origin_that_browsers_send(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    base_url = "https://müller-straße.example"
    settings = make_settings(
        *(database_url, redis_url, tmp_path), WEBHOOKS_BASE_URL=base_url, WEBHOOKS_TRUSTED_PROXIES="1"
    )
    with opened(patient_app(settings)) as app:
        workspace = new_workspace(app, "Acme")
        origin = "https://xn--mller-strae-46a18a.example"
        behind = {"Origin": origin, "Host": "10.0.0.9:8000"}
        assert urlsplit(origin).hostname == canonical_host("müller-straße.example")
        assert log_in(app, workspace, behind)[0] == 303
        assert log_in(app, workspace, behind | {"Origin": "https://xn--mller-kva.example"})[0] == 400


def log_in(app: Flask, workspace: Workspace, headers: dict[str, str]) -> tuple[int, str]:
    """Log in as a browser that sends these headers; return status and text."""
    page = Page(app, "/")
    form = page._open("GET", "/login", base_url=CONSOLE, headers=FORWARDED)
    token = form.text.split('name="csrf_token" value="')[1].split('"')[0]
    cookie = page.client.get_cookie("__Host-session", "console.example.com")
    assert cookie
    page.client.set_cookie(cookie.key, cookie.value, domain="10.0.0.9")
    data = {"email": workspace.admin_email, "password": PASSWORD, "csrf_token": token}
    answer = page._open("POST", "/login", base_url=CONSOLE, data=data, headers=FORWARDED | headers)
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": CONSOLE},
        {"Referer": f"{CONSOLE}/login?next=/"},
        {"Origin": CONSOLE, "Referer": f"{CONSOLE}/login"},
        {"Referer": f"{CONSOLE}:443/login"},
        {"Origin": CONSOLE, "Host": "10.0.0.9:8000"},  # a proxy that names itself
    ],
)
def test_a_form_of_this_console_is_taken(app: Flask, workspace: Workspace, headers: dict[str, str]) -> None:
    assert log_in(app, workspace, headers)[0] == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Referer": f"{CONSOLE}/login"},
        {"Origin": "http://console.example.com"},
        {"Origin": f"{CONSOLE}:8443"},
        {"Origin": f"{CONSOLE}.evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/?https://console.example.com/"},
        {"Referer": "https://console.example.com@evil.example/"},
    ],
)
def test_a_form_of_elsewhere_is_refused_with_that_reason(
    app: Flask, workspace: Workspace, headers: dict[str, str]
) -> None:
    status, text = log_in(app, workspace, headers)
    assert status == 400
    assert "was sent from" in text
    assert "open for too long" not in text


@pytest.mark.parametrize("headers", [{}, {"Referer": "http://["}, {"Referer": "/login"}])
def test_a_form_from_nowhere_is_refused_with_that_reason(
    app: Flask, workspace: Workspace, headers: dict[str, str]
) -> None:
    status, text = log_in(app, workspace, headers)
    assert (status, "did not say from where" in text) == (400, True)
