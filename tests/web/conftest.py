"""Browser-like clients of the console: real log-ins, real CSRF tokens, read from pages as a browser would.

A URL that does not start with a slash is taken from the console of the `workspace` fixture.
"""

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from tests.conftest import PASSWORD, TESTER, Workspace
from tests.receivers import Answer, Receiver
from tests.web.deliveries import newest
from tests.web.endpoints import SECRET_VALUE, URL
from webhooks_app.accounts import members, users
from webhooks_app.core import clock
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Endpoint, Role
from webhooks_app.extensions import db, services
from webhooks_app.worker.engine import DeliveryEngine

FRAGMENT_HEADERS = {"HX-Request": "true", "HX-Request-Type": "partial"}
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
# The session, and its token, that the log-in page gave to somebody without one, by the key that signs both:
# every application with that key takes them, and one page more for each log-in would cost as much as that.
_visitors: dict[str, tuple[str, str]] = {}


class Page:
    """One person's browser. Each request has an application context of its own, as in production."""

    def __init__(self, app: Flask, base: str) -> None:
        self.app, self.base = app, base
        self.client: FlaskClient = app.test_client()
        self._token_of = ("", "")

    def get(self, url: str, **options: Any) -> TestResponse:
        return self._open("GET", url, **options)

    def fragment(self, url: str) -> TestResponse:
        """As htmx asks for a part of a page."""
        return self.get(url, headers=FRAGMENT_HEADERS)

    def post(
        self, url: str, data: Mapping[str, Any] | None = None, *, fragment: bool = False, csrf: bool = True
    ) -> TestResponse:
        """Submits a form; a list value stands for several fields of one name."""
        fields = dict(data or {}) | ({"csrf_token": self.token()} if csrf else {})
        return self._open("POST", url, data=fields, headers=FRAGMENT_HEADERS if fragment else {})

    def token(self) -> str:
        """The session's CSRF token, read once from a form of the log-in page, which anyone can see."""
        session, token = self._token_of
        if not session or session != self._session():
            found = _TOKEN.search(self.get("/login").text)
            assert found
            token = html.unescape(found[1])
            self._token_of = self._session(), token
        return token

    def _session(self) -> str:
        cookie = self.client.get_cookie("session")
        return cookie.value if cookie else ""

    def log_in(self, email: str, password: str = PASSWORD) -> None:
        if not self._session():
            self._begin_as_visitor()
        response = self.post("/login", {"email": email, "password": password})
        assert response.status_code == 303, response.text

    def _begin_as_visitor(self) -> None:
        key = self.app.config["SECRET_KEY"]
        if key in _visitors:
            self._token_of = _visitors[key]
            self.client.set_cookie("session", self._token_of[0])
        elif self.token() and self._session():
            _visitors[key] = self._token_of

    def _open(self, method: str, url: str, **options: Any) -> TestResponse:
        # Nothing may hold a snapshot open from before the request, or it would read old rows after it.
        db.session.rollback()
        db.session.expire_all()
        with self.app.app_context():
            # Buffered: read to its end and closed, as a server does with what it sends.
            address = url if url.startswith("/") else self.base + url
            return self.client.open(address, method=method, buffered=True, **options)


@pytest.fixture
def base(workspace: Workspace) -> str:
    return f"/w/{workspace.id}/alerts/webhooks/"


@pytest.fixture
def make_page(app: Flask, base: str) -> Callable[[str | None], Page]:
    """A browser, logged in as that e-mail address or, with None, not at all."""

    def make(email: str | None) -> Page:
        page = Page(app, base)
        if email is not None:
            page.log_in(email)
        return page

    return make


@pytest.fixture
def admin_page(make_page: Callable[[str | None], Page], workspace: Workspace) -> Page:
    return make_page(workspace.admin_email)


@pytest.fixture
def viewer_page(make_page: Callable[[str | None], Page], workspace: Workspace) -> Page:
    email = "viewer@example.com"
    user_id = users.add(services().write, email=email, name="Vera", password=PASSWORD)
    members.add(services().write, workspace.id, user_id, Role.VIEWER, actor=TESTER)
    return make_page(email)


@pytest.fixture
def stranger_page(
    make_page: Callable[[str | None], Page], make_workspace: Callable[[str], Workspace]
) -> Page:
    """An admin, but of another workspace."""
    return make_page(make_workspace("Other").admin_email)


@pytest.fixture
def anonymous_page(make_page: Callable[[str | None], Page]) -> Page:
    return make_page(None)


@pytest.fixture
def home(workspace: Workspace) -> str:
    return f"/w/{workspace.id}/"


@pytest.fixture
def endpoint_id(workspace: Workspace) -> str:
    return workspace.endpoint(URL, name="Orders", headers=[("X-Tenant", SECRET_VALUE)])


@pytest.fixture
def failed(workspace: Workspace, receiver: Receiver, engine: DeliveryEngine, database: WriteDatabase) -> str:
    """A delivery that was attempted once and given up."""
    workspace.endpoint(receiver.url, headers=[("X-Tenant", "s3cret")])
    workspace.send()
    receiver.answer = Answer(410, b"gone")
    engine.run(seconds=60)
    with database.begin() as connection:  # 410 disables
        connection.execute(update(Endpoint).values(state="enabled", updated_at=clock.now()))
    receiver.answer = Answer(200)
    return newest().id


@pytest.fixture
def waiting(workspace: Workspace) -> str:
    workspace.endpoint("https://a.example.com/")
    workspace.send()
    return newest().id
