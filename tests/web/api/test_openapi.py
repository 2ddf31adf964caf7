"""The OpenAPI document: valid, complete, and true of what is sent and delivered."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.conftest import Workspace
from tests.reading import json_of
from tests.receivers import Receiver
from tests.web.api.conforming import CATALOG, DOCUMENT, validator
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.events.catalog import load
from webhooks_app.web.api import event_schemas, openapi
from webhooks_app.web.api.all_operations import OPERATIONS
from webhooks_app.worker.engine import DeliveryEngine

_ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@_ON_ONE_DATABASE
def test_whoever_asks_gets_the_document_as_json_or_yaml(client: FlaskClient) -> None:
    as_json, as_yaml = client.get("/api/v1/openapi.json"), client.get("/api/v1/openapi.yaml")
    assert (as_json.status_code, as_yaml.status_code) == (200, 200)
    assert (as_json.mimetype, as_yaml.mimetype) == ("application/json", "application/yaml")
    document = json_of(as_json)
    assert yaml.safe_load(as_yaml.text) == document
    assert "&id" not in as_yaml.text
    assert document["servers"] == [{"url": "http://127.0.0.1:8000/api/v1"}]
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": as_json.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_no_reference_leads_nowhere_and_no_component_is_idle() -> None:
    text = json.dumps(DOCUMENT)
    components = DOCUMENT["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named == set(components)


def test_a_schema_that_refers_to_itself_does_so_in_the_document(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    schema = {
        "type": "object",
        "properties": {
            "total": {"$ref": "#/$defs/money"},
            "parts": {"type": "array", "items": {"$ref": "#"}},
        },
        "$defs": {"money": {"type": "integer"}},
    }
    path.write_text(
        '[[groups]]\nkey = "orders"\ntitle = "Orders"\n'
        '[[event_types]]\nname = "order.paid"\ngroup = "orders"\n'
        f"description = \"Paid\"\nschema = '{json.dumps(schema)}'\nexample = '{{\"total\": 1}}'\n"
    )
    document = openapi.build(OPERATIONS, load(path), server_url="https://x.example", version="1")

    OpenAPIV31SpecValidator(document).validate()
    data = document["components"]["schemas"]["OrderPaidData"]
    assert data["properties"]["total"] == {"$ref": "#/components/schemas/OrderPaidData/$defs/money"}
    assert data["properties"]["parts"]["items"] == {"$ref": "#/components/schemas/OrderPaidData"}


def test_event_types_named_like_parts_of_the_api_replace_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    named = ("endpoint", "event", "report", "batch", "endpoint-type", "order")
    types = "".join(
        f'[[event_types]]\nname = "{each}"\ngroup = "own"\ndescription = "Own {each}"\n'
        "schema = '{\"type\": \"object\"}'\nexample = '{}'\n"
        for each in named
    )
    path.write_text(f'[[groups]]\nkey = "own"\ntitle = "Own"\n{types}')
    catalog = load(path)
    document = openapi.build(OPERATIONS, catalog, server_url="https://x.example", version="1")

    OpenAPIV31SpecValidator(document).validate()
    schemas, before = document["components"]["schemas"], DOCUMENT["components"]["schemas"]
    changed = {name for name in before if schemas.get(name) != before[name]}
    assert changed == {"EventInput", "BatchItem"}, "those that list the types"
    for each in named:
        webhook = document["webhooks"][each]["post"]
        reference = webhook["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        assert schemas[reference.rpartition("/")[2]]["properties"]["type"] == {"const": each}
    assert len(schemas) == len(before) + 3 * len(named)
    assert {"EndpointTypeInput", "OrderInput"} <= schemas.keys()


def test_every_operation_is_described() -> None:
    found = {
        (path, method.upper()): described
        for path, methods in DOCUMENT["paths"].items()
        for method, described in methods.items()
    }
    assert set(found) == {(each.path, each.method) for each in OPERATIONS}
    for described in found.values():
        assert described["summary"] and described["description"]
        assert described["tags"][0] in [tag["name"] for tag in DOCUMENT["tags"]]
    ids = [described["operationId"] for described in found.values()]
    assert len(ids) == len(set(ids))
    for scope in TokenScope:
        assert f"`{scope}`" in DOCUMENT["components"]["securitySchemes"]["token"]["description"]


def test_every_event_type_is_a_webhook_whose_example_fulfils_its_schema() -> None:
    assert list(DOCUMENT["webhooks"]) == [each.name for each in CATALOG.event_types]
    names = event_schemas.type_names(CATALOG)
    for each in CATALOG.event_types:
        name = names[each.name]
        sent = {"type": each.name, "data": each.example}
        for schema in ("EventInput", f"{name}Input"):
            validator({"$ref": f"#/components/schemas/{schema}"}).validate(sent)
        problems = validator({"$ref": "#/components/schemas/EventInput"}).iter_errors(sent | {"more": 1})
        assert list(problems)


@_ON_ONE_DATABASE
def test_what_is_delivered_is_what_its_webhook_says(
    app: Flask, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    workspace.send()
    engine.run(seconds=60)
    [received] = receiver.received
    webhook: dict[str, Any] = DOCUMENT["webhooks"]["batch-lifecycle"]["post"]
    body = json.loads(received.body)
    validator(webhook["requestBody"]["content"]["application/json"]["schema"]).validate(body)
    sent = {name.lower() for name in received.headers}
    assert {parameter["name"] for parameter in webhook["parameters"]} <= sent
