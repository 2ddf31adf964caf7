"""Under a WEBHOOKS_BASE_URL with a path, each link stays below it, whatever the proxy does with that path."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.conftest import PASSWORD, Workspace, make_settings
from tests.reading import captured, json_of
from tests.receivers import Receiver
from webhooks_app.app import create_app
from webhooks_app.config import ConfigError, Settings
from webhooks_app.extensions import db
from webhooks_app.worker.engine import DeliveryEngine

PREFIX = "/tools/web-hooks"
# Whatever a browser or htmx would follow, send to or load.
LINK = re.compile(r'\b(href|src|action|formaction|hx-(?:get|post|put|delete|push-url))="([^"]*)"')
FOLLOWED = {"href", "src", "hx-get"}


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return make_settings(database_url, redis_url, tmp_path, WEBHOOKS_BASE_URL=f"https://example.com{PREFIX}/")


class Proxy:
    """A browser behind a proxy that takes the prefix off, or leaves it on."""

    def __init__(self, app: Flask, *, strips: bool) -> None:
        self.app, self.client = app, app.test_client()
        self.strips = strips

    def open(self, method: str, url: str, **options: Any) -> TestResponse:
        assert url.startswith(PREFIX), url
        path = url.removeprefix(PREFIX) or "/" if self.strips else url
        self._take_cookies()
        db.session.rollback()
        with self.app.app_context():  # of each request its own, as in production
            return self.client.open(
                path, method=method, base_url="https://example.com", buffered=True, **options
            )

    def _take_cookies(self) -> None:
        """Those of the prefix, which a browser would send; the client sees the path without it."""
        for cookie in list(self.client._cookies.values()) if self.client._cookies else []:
            cookie.path = "/"

    def log_in(self, email: str) -> None:
        page = self.open("GET", f"{PREFIX}/login").text
        token = html.unescape(captured(r'name="csrf_token" value="([^"]+)"', page))
        form = {"email": email, "password": PASSWORD, "csrf_token": token}
        referrer = {"Referer": f"https://example.com{PREFIX}/login", "Origin": "https://example.com"}
        answer = self.open("POST", f"{PREFIX}/login", data=form, headers=referrer)
        assert answer.status_code == 303, answer.text
        assert answer.location == f"{PREFIX}/"
        self.set_cookies = answer.headers.getlist("Set-Cookie")


strips = pytest.mark.parametrize("strips", [True, False], ids=["stripping", "not stripping"])


@strips
def test_every_link_of_every_page_stays_below_the_prefix(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, strips: bool
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send(2)
    engine.run(seconds=60)
    proxy = Proxy(app, strips=strips)
    proxy.log_in(workspace.admin_email)
    waiting, seen = [f"{PREFIX}/"], set[str]()
    while waiting and len(seen) < 60:
        address = waiting.pop(0)
        answer = proxy.open("GET", address)
        seen.add(address)
        assert answer.status_code in (200, 204, 302, 303), address
        found = [("href", answer.location)] if answer.location else []
        if answer.mimetype == "text/html":
            found += LINK.findall(answer.text)
        for attribute, value in found:
            link = html.unescape(value)
            is_elsewhere = re.match(r"https?://|data:|mailto:|#|$|\?|true$", link)
            assert is_elsewhere or link.startswith(f"{PREFIX}/"), f"{link} on {address}"
            path = link.partition("#")[0]
            is_new = path.startswith(PREFIX) and path not in (*seen, *waiting) and not path.endswith(".md")
            if attribute in FOLLOWED and is_new:
                waiting.append(path)
    assert len(seen) > 25


@strips
def test_who_is_not_logged_in_comes_back_to_the_page_below_the_prefix(
    app: Flask, workspace: Workspace, strips: bool
) -> None:
    page = f"{PREFIX}/w/{workspace.id}/alerts/webhooks/deliveries/"
    answer = Proxy(app, strips=strips).open("GET", page + "?status=failed")
    assert answer.location == (
        f"{PREFIX}/login?next={PREFIX}/w/{workspace.id}/alerts/webhooks/deliveries/?status%3Dfailed"
    )


@strips
def test_the_api_is_below_the_prefix(app: Flask, workspace: Workspace, strips: bool) -> None:
    body = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    answer = Proxy(app, strips=strips).open(
        "POST", f"{PREFIX}/api/v1/events", json=body, headers=workspace.headers
    )
    assert answer.status_code == 202
    assert json_of(answer)["id"].startswith("evt_")


def test_the_cookie_is_for_the_prefix_alone(app: Flask) -> None:
    cookie = Proxy(app, strips=True).open("GET", f"{PREFIX}/login").headers["Set-Cookie"]
    # `__Host-` would demand the path `/`, and a browser would refuse it.
    assert cookie.startswith("__Secure-session=")
    assert f"; Path={PREFIX}" in cookie
    assert "; Secure; HttpOnly" in cookie


def test_the_cookie_of_a_known_device_is_for_the_prefix_alone(app: Flask, workspace: Workspace) -> None:
    proxy = Proxy(app, strips=True)
    proxy.log_in(workspace.admin_email)
    [device] = [cookie for cookie in proxy.set_cookies if "device-" in cookie]
    assert device.startswith("__Secure-device-")
    assert f"; Path={PREFIX}" in device


def test_without_a_prefix_the_cookie_is_bound_to_the_host(redis_url: str, tmp_path: Path) -> None:
    app = create_app(
        make_settings(
            f"sqlite:///{tmp_path / 'x.db'}", redis_url, tmp_path, WEBHOOKS_BASE_URL="https://a.example"
        )
    )
    assert app.config["SESSION_COOKIE_NAME"] == "__Host-session"
    assert app.config["SESSION_COOKIE_PATH"] == "/"


@strips
def test_an_invitation_leads_below_the_prefix_once(app: Flask, workspace: Workspace, strips: bool) -> None:
    proxy = Proxy(app, strips=strips)
    proxy.log_in(workspace.admin_email)
    members = f"{PREFIX}/w/{workspace.id}/members/"
    token = html.unescape(captured(r'name="csrf_token" value="([^"]+)"', proxy.open("GET", members).text))
    form = {"email": "new@example.com", "role": "viewer", "csrf_token": token}
    referrer = {"Referer": f"https://example.com{members}", "Origin": "https://example.com"}
    text = proxy.open("POST", members, data=form, headers=referrer).text
    assert captured(r"(https://example\.com/[^\s\"<]*invitations/)", text) == (
        f"https://example.com{PREFIX}/invitations/"
    )


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/static", "/w", "/login", "/healthz"])
def test_a_prefix_that_is_a_path_of_the_console_is_refused(redis_url: str, tmp_path: Path, path: str) -> None:
    settings = make_settings(
        f"sqlite:///{tmp_path / 'x.db'}", redis_url, tmp_path, WEBHOOKS_BASE_URL=f"https://a.example{path}"
    )
    with pytest.raises(ConfigError, match=f"WEBHOOKS_BASE_URL must not have the path {path}, "):
        create_app(settings)
