"""The token of a request."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.reading import json_of
from tests.web.api.events import EVENT
from webhooks_app.accounts import api_tokens
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken
from webhooks_app.extensions import db


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer tok_wrong", "Bearer tok_\u00e9"])
def test_a_request_without_a_valid_token_is_refused(
    client: FlaskClient, app: Flask, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = client.post("/api/v1/events", json=EVENT, headers=headers)
    assert response.status_code == 401
    assert json_of(response)["error"]["code"] == "unauthorized"
    challenge = response.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer realm=")
    was_sent = (header or "").startswith("Bearer tok")
    assert ('error="invalid_token"' in challenge) == was_sent  # RFC 6750, section 3.1


def test_the_token_of_an_example_is_known_as_such(client: FlaskClient) -> None:
    pasted = "Bearer tok_…".encode().decode("latin-1")  # as the bytes of a header come: PEP 3333
    response = client.post("/api/v1/events", json=EVENT, headers={"Authorization": pasted})
    assert response.status_code == 401
    assert "the tok_… of an example: put an API token" in json_of(response)["error"]["message"]


def test_a_revoked_token_is_refused(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    token = db.session.scalars(select(ApiToken)).one()
    api_tokens.revoke(database, token, actor=TESTER)
    assert client.get("/api/v1/event-types", headers=workspace.headers).status_code == 401


def test_the_use_of_a_token_is_noted_once_a_minute(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    client.get("/api/v1/event-types", headers=workspace.headers)
    first = db.session.scalars(select(ApiToken)).one().last_used_at
    assert first is not None
    client.get("/api/v1/event-types", headers=workspace.headers)
    db.session.expire_all()
    db.session.rollback()
    assert db.session.scalars(select(ApiToken)).one().last_used_at == first
