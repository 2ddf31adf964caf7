"""What holds for every operation of the API, tried on each, so that a new one cannot forget it."""

from collections.abc import Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from tests.conftest import TESTER, Workspace
from tests.deliveries.conftest import fail_all
from tests.reading import json_of
from tests.web.api.conftest import Api, new_api
from tests.web.api.listening import listen
from tests.web.deliveries import newest
from tests.web.test_every_route import snapshot
from webhooks_app.accounts import api_tokens
from webhooks_app.accounts.token_scopes import FIRST_SCOPES, TokenScope
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import ApiToken, SigningSecret
from webhooks_app.deliveries import recoveries
from webhooks_app.deliveries.log.filters import LogFilter, Status
from webhooks_app.extensions import db, services
from webhooks_app.web.api.all_operations import OPERATIONS
from webhooks_app.web.api.operations import Operation

# Bodies that would do, so that nothing but the id is wrong.
BODIES: dict[str, object] = {
    "changeEndpoint": {"name": "Mine now"},
    "enableEndpoint": {"held": "send"},
    "sendTestEvent": {"type": "batch-lifecycle"},
    "claimListenerRequests": {"session": "lss_none"},
    "reportListenerAttempt": {"delivery_id": "dlv_x", "claim": "1.1", "target": "http://a/", "status": 200},
}
# What a token could do before it had scopes, and can do still.
FIRST_OPERATIONS = {"sendEvent", "sendEvents", "getEvent", "getEventByKey", "listEventTypes"}

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def call(
    client: FlaskClient,
    operation: Operation,
    token: str,
    parameters: Mapping[str, str] | None = None,
    json: object = None,
) -> TestResponse:
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", (parameters or {}).get(name, "x_none"))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.open(f"/api/v1{path}", method=operation.method, headers=headers, json=json)


def test_every_route_of_the_api_is_an_operation(app: Flask) -> None:
    routes = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/") and not rule.endpoint.startswith("api_document.")
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


@pytest.fixture
def parameters(workspace: Workspace, database: WriteDatabase) -> dict[str, str]:
    """One row of everything in the workspace, for the parameters of paths; a new one needs an entry here."""
    endpoint_id = workspace.endpoint(
        "https://a.example.com/", all_events=False, event_types=["batch-lifecycle"]
    )
    [event_id] = workspace.send()
    fail_all(database)
    databases, wake_ups = services(workspace.app).databases, services(workspace.app).wake_ups
    recovery_id = recoveries.start(
        databases, wake_ups, workspace.id, LogFilter(status=Status.FAILED), actor=TESTER
    )
    secret_id = db.session.scalars(select(SigningSecret.id)).one()
    return {
        "endpoint_id": endpoint_id,
        "event_id": event_id,
        "delivery_id": newest().id,
        "recovery_id": recovery_id,
        "secret_id": secret_id,
        "listener_id": listen(new_api(workspace)).started["id"],
        "event_type": "batch-lifecycle",
    }


def test_what_is_another_workspaces_or_nobodys_is_not_found_and_not_touched(
    client: FlaskClient, parameters: dict[str, str], workspace: Workspace, stranger: Api, api: Api
) -> None:
    before = snapshot()
    missing = {name: value[:-4] + "zzzz" for name, value in parameters.items() if name != "event_type"}
    for operation in OPERATIONS:
        if not set(operation.parameters) - {"name", "event_type"}:
            continue
        for token, values in ((stranger.token, parameters), (api.token, parameters | missing)):
            answer = call(client, operation, token, values, BODIES.get(operation.id))
            assert (answer.status_code, json_of(answer)["error"]["code"]) == (404, "not_found"), operation.id
    after = snapshot()
    assert {name for name in after if after[name] != before[name]} <= {"api_tokens"}  # when they were used


def test_what_no_operation_knows_is_refused(
    client: FlaskClient, parameters: dict[str, str], api: Api
) -> None:
    for operation in OPERATIONS:
        if operation.body is not None:
            refused = call(client, operation, api.token, parameters, {"nonsense": 1})
            error = json_of(refused)["error"]
            assert (refused.status_code, error["code"], error["field"]) == (422, "unknown_field", "nonsense")
            refused = call(client, operation, api.token, parameters, [])
            assert (refused.status_code, json_of(refused)["error"]["code"]) == (422, "invalid")
        if operation.query is not None:
            path = f"/api/v1{operation.path}?nonsense=1"
            headers = {"Authorization": f"Bearer {api.token}"}
            refused = client.open(path, method=operation.method, headers=headers)
            error = json_of(refused)["error"]
            assert (refused.status_code, error["code"], error["field"]) == (
                400,
                "unknown_parameter",
                "nonsense",
            )
