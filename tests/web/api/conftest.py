"""Clients of the API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import Workspace


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def post(client: FlaskClient, workspace: Workspace) -> Callable[..., Any]:
    def post(body: Any, path: str = "/api/v1/events", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.post(path, data=data, headers=workspace.headers | headers)

    return post
