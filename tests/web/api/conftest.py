"""Clients of the API."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import TESTER, Workspace
from tests.reading import json_of
from tests.web.api.conforming import ConformingClient
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.extensions import db, services


@pytest.fixture
def app(app: Flask) -> Flask:
    """The application, whose clients hold its answers against the API's document."""
    app.test_client_class = ConformingClient
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def post(client: FlaskClient, workspace: Workspace) -> Callable[..., Any]:
    def post(body: Any, path: str = "/api/v1/events", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.post(path, data=data, headers=workspace.headers | headers)

    return post


@dataclass
class Api:
    """A program with a token of its own."""

    app: Flask
    token: str

    def call(
        self, method: str, path: str, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        """Each request has an application context of its own, as in production."""
        sent = {"Authorization": f"Bearer {self.token}"} | dict(headers or {})
        db.session.rollback()
        db.session.expire_all()
        with self.app.app_context():
            client = self.app.test_client()
            return client.open(f"/api/v1{path}", method=method, json=json, headers=sent, buffered=True)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.call("GET", path, headers=headers)

    def read(self, path: str) -> Any:
        """Return the body of an answer 200."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return json_of(answer)

    def refusal(self, method: str, path: str, json: Any = None) -> tuple[int, str, str | None]:
        """Return status, code and field of an error."""
        answer = self.call(method, path, json)
        error = json_of(answer)["error"]
        assert error["message"]
        return answer.status_code, error["code"], error["field"]


def new_api(workspace: Workspace, *scopes: TokenScope) -> Api:
    """Return a program that may do all of the scopes, or everything there is."""
    token = api_tokens.create(
        services(workspace.app).write, workspace.id, "robot", scopes=scopes or set(TokenScope), actor=TESTER
    )
    return Api(workspace.app, token)


@pytest.fixture
def api(workspace: Workspace) -> Api:
    return new_api(workspace)


@pytest.fixture
def stranger(make_workspace: Callable[[str], Workspace]) -> Api:
    """A program of another workspace."""
    return new_api(make_workspace("Other"))
