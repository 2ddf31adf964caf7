"""What holds for every operation of the API, tried on each, so that a new one cannot forget it."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from tests.conftest import TESTER, Workspace
from tests.reading import json_of
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.token_scopes import FIRST_SCOPES, TokenScope
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken
from webhooks_app.web.api.operations import Operation
from webhooks_app.web.blueprints import API_OPERATIONS

OPERATIONS = [operation for some in API_OPERATIONS for operation in some]
# What a token could do before it had scopes, and can do still.
FIRST_OPERATIONS = {"sendEvent", "sendEvents", "getEvent", "listEventTypes"}

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def call(client: FlaskClient, operation: Operation, token: str) -> TestResponse:
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", "none")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.open(f"/api/v1{path}", method=operation.method, headers=headers)


def test_every_route_of_the_api_is_an_operation(app: Flask) -> None:
    routes = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    assert routes == {(f"/api/v1{each.rule}", each.method) for each in OPERATIONS}


def test_no_operation_is_done_without_a_token(client: FlaskClient) -> None:
    for operation in OPERATIONS:
        for token in ("", "tok_of_nobody"):
            refused = call(client, operation, token)
            assert (refused.status_code, json_of(refused)["error"]["code"]) == (401, "unauthorized")


def test_an_operation_needs_its_scope_and_no_other(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    for operation in OPERATIONS:
        if operation.scope is None:
            continue
        others = set(TokenScope) - {operation.scope}
        lacking, having = (
            api_tokens.create(database, workspace.id, "app", scopes=scopes, actor=TESTER)
            for scopes in (others, {operation.scope})
        )
        refused = call(client, operation, lacking)
        assert (refused.status_code, json_of(refused)["error"]["code"]) == (403, "insufficient_scope")
        assert f'scope="{operation.scope}"' in refused.headers["WWW-Authenticate"]  # RFC 6750, section 3.1
        assert call(client, operation, having).status_code not in (401, 403), operation.id


def test_a_token_from_before_there_were_scopes_does_what_it_could_and_no_more(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    with database.begin() as connection:
        connection.execute(update(ApiToken).values(scopes=None))
    allowed = {each.id for each in OPERATIONS if call(client, each, workspace.token).status_code != 403}
    assert allowed == FIRST_OPERATIONS | {each.id for each in OPERATIONS if each.scope is None}
    assert {each.id for each in OPERATIONS if each.scope in FIRST_SCOPES} <= FIRST_OPERATIONS


def test_a_scope_is_worth_something(app: Flask) -> None:
    assert {each.scope for each in OPERATIONS} - {None} <= set(TokenScope)
