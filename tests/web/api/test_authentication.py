"""The token of a request."""

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import TESTER, Workspace
from tests.reading import json_of
from tests.web.api.events import EVENT
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.api_tokens import LiveToken
from webhooks_app.accounts.audit import Actor
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken
from webhooks_app.extensions import db
from webhooks_app.web.api import authentication


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
    message = json_of(response)["error"]["message"]
    assert (message == "This API token is not valid.") == was_sent


def test_a_token_that_may_not_do_that_is_told_which_scope_it_takes(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    token = api_tokens.create(database, workspace.id, "app", scopes=[TokenScope.EVENTS_SEND], actor=TESTER)
    response = client.get("/api/v1/endpoints", headers={"Authorization": f"Bearer {token}"})
    error = json_of(response)["error"]
    assert (response.status_code, error["code"]) == (403, "insufficient_scope")
    assert "it needs the scope endpoints:read" in error["message"]
    challenge = 'Bearer realm="webhooks", error="insufficient_scope", scope="endpoints:read"'  # section 3.1
    assert response.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("address", ["192.0.2.9", None])
def test_who_acts_is_the_token_from_its_address(app: Flask, address: str | None) -> None:
    with app.test_request_context(environ_base={"REMOTE_ADDR": address} if address else {}):
        g.token = LiveToken("tok_1", "ws_1", None, "billing")
        assert authentication.actor() == Actor("API token “billing” (tok_1)", address or "")


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
