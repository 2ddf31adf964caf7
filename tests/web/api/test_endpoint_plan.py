"""What a plan of endpoints says is what putting them does; a put takes their state along."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.reading import json_of
from tests.web.api.conftest import Api
from tests.web.endpoints import audited_actions, load, states
from webhooks_app.db.models import DeliveryState, Endpoint
from webhooks_app.extensions import db

URL = "https://hooks.example.com/avra"
NEW: dict[str, Any] = {"url": URL, "event_types": ["batch-lifecycle"]}
HEADERS = [{"name": "X-Tenant", "value": "s3cret"}, {"name": "X-Kept", "value": "1"}]


def put(api: Api, body: dict[str, Any], name: str = "Billing", **headers: str) -> Any:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return api.call("PUT", f"/endpoints/by-name/{name}", body, sent)


def plan(api: Api, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    named = [{"name": "Billing", **body} for body in bodies]
    answer = api.call("POST", "/endpoints/plan", {"endpoints": named})
    assert answer.status_code == 200, answer.text
    planned: list[dict[str, Any]] = json_of(answer)["data"]
    return planned


def test_a_plan_says_what_would_be_added_and_adds_nothing(api: Api) -> None:
    before = audited_actions()
    [planned] = plan(api, NEW | {"url": "https://Bücher.example", "headers": HEADERS, "disabled": True})
    assert planned == {
        "name": "Billing",
        "action": "create",
        "changed": [],
        "changed_headers": [],
        "before": None,
        "after": {
            "url": "https://xn--bcher-kva.example/",
            "all_events": False,
            "event_types": ["batch-lifecycle"],
            "timeout_seconds": 5,
            "rate_per_second": None,
            "headers": [{"name": "X-Tenant", "value": None}, {"name": "X-Kept", "value": None}],
            "disabled": True,
            "managed_by": None,
        },
        "etag": None,
        "held": 0,
        "error": None,
    }
    assert json_of(api.get("/endpoints"))["data"] == []
    assert audited_actions() == before


@pytest.mark.parametrize(
    ("other", "changed", "headers"),
    [
        ({}, [], []),
        ({"url": f"{URL}/2"}, ["url"], []),
        ({"event_types": ["batch-request"]}, ["event_types"], []),
        ({"all_events": True, "event_types": []}, ["all_events", "event_types"], []),
        ({"timeout_seconds": 6}, ["timeout_seconds"], []),
        ({"rate_per_second": 3}, ["rate_per_second"], []),
        ({"disabled": True}, ["disabled"], []),
        ({"disabled": False}, [], []),
        ({"managed_by": "a.yaml"}, ["managed_by"], []),
        ({"headers": [{"name": "X-Tenant"}, {"name": "X-Kept"}]}, [], []),
        ({"headers": [{"name": "X-Tenant", "value": "other"}, HEADERS[1]]}, ["headers"], ["X-Tenant"]),
        ({"headers": HEADERS[1:]}, ["headers"], ["X-Tenant"]),
        ({"headers": HEADERS[::-1]}, ["headers"], ["X-Kept", "X-Tenant"]),
    ],
    ids=str,
)
def test_a_plan_names_what_a_put_then_changes(
    api: Api, other: dict[str, Any], changed: list[str], headers: list[str]
) -> None:
    put(api, NEW | {"headers": HEADERS})
    [planned] = plan(api, NEW | {"headers": HEADERS} | other)
    assert (planned["action"], planned["changed"]) == ("change" if changed else "none", changed)
    assert sorted(planned["changed_headers"]) == headers
    assert planned["before"] == json_of(api.get("/endpoints/by-name/Billing"))

    answer = put(api, NEW | {"headers": HEADERS} | other, If_Match=planned["etag"])
    assert answer.status_code == 200, answer.text
    after = json_of(answer)
    assert (after["updated_at"] != planned["before"]["updated_at"]) == bool(changed)
    assert {**planned["after"], "state": "disabled" if planned["after"]["disabled"] else "enabled"} == {
        name: after.get(name, planned["after"].get(name)) for name in (*planned["after"], "state")
    }
    [again] = plan(api, NEW | {"headers": HEADERS} | other)
    assert again["action"] == "none"


def test_what_is_wrong_with_one_is_said_of_that_one(api: Api) -> None:
    for _ in range(2):
        api.call("POST", "/endpoints", NEW | {"name": "Twice"})
    put(api, NEW | {"headers": HEADERS})
    planned = plan(
        api,
        NEW | {"headers": [{"name": "X-Kept"}]},
        NEW | {"url": "http://169.254.169.254/", "name": "Elsewhere"},
        NEW | {"url": "https://other.example.com/", "headers": [{"name": "X-Kept"}]},
        NEW | {"event_types": ["nonsense"], "name": "Typo"},
        NEW | {"name": "Twice"},
        NEW | {"name": "\u200b"},
    )
    assert [each["error"] and each["error"]["field"] for each in planned] == [
        None,
        "url",
        "headers[0].value",
        "event_types[0]",
        "name",
        "name",
    ]
    assert [each["action"] for each in planned] == ["change"] + ["refuse"] * 5


def test_another_workspaces_endpoint_is_not_compared_with(api: Api, stranger: Api) -> None:
    put(stranger, NEW)
    assert plan(api, NEW)[0]["action"] == "create"


def test_an_endpoint_is_compared_by_its_id_whatever_it_is_named(api: Api, stranger: Api) -> None:
    endpoint_id = json_of(put(api, NEW))["id"]
    put(api, NEW | {"name": "Taken", "timeout_seconds": 9})
    for name in ("Other", "Taken"):
        [planned] = plan(api, NEW | {"name": name, "id": endpoint_id})
        assert (planned["action"], planned["changed"]) == ("change", ["name"])
        assert (planned["before"]["id"], planned["name"]) == (endpoint_id, name)
    for who, named in ((api, "ep_none"), (stranger, endpoint_id)):
        [planned] = plan(who, NEW | {"id": named})
        assert (planned["action"], planned["error"]["field"]) == ("refuse", "id")


def test_a_put_with_an_asterisk_only_adds(api: Api) -> None:
    assert put(api, NEW, If_None_Match="*").status_code == 201
    refused = put(api, NEW | {"timeout_seconds": 9}, If_None_Match="*")
    assert refused.status_code == 412
    assert json_of(api.get("/endpoints/by-name/Billing"))["timeout_seconds"] == 5


def test_a_put_adds_an_endpoint_that_is_disabled_from_the_start(api: Api, workspace: Workspace) -> None:
    endpoint = json_of(put(api, NEW | {"disabled": True}))
    assert endpoint["state"] == "disabled"
    workspace.send()
    assert states() == [DeliveryState.HELD]
    assert audited_actions()[-3:] == ["endpoint.create", "endpoint.disable", "secret.reveal"]


@pytest.mark.parametrize(("held", "state"), [("send", "pending"), ("discard", "canceled")])
def test_a_put_that_enables_needs_a_word_about_what_was_held(
    api: Api, workspace: Workspace, held: str, state: str
) -> None:
    endpoint_id = json_of(put(api, NEW | {"disabled": True}))["id"]
    workspace.send(2)
    wanted = NEW | {"disabled": False, "timeout_seconds": 9}
    assert plan(api, wanted)[0]["held"] == 2

    refused = put(api, wanted)
    assert (refused.status_code, json_of(refused)["error"]["field"]) == (422, "held")
    assert (load(endpoint_id).is_enabled, load(endpoint_id).timeout_ms) == (False, 5000)  # all or nothing

    assert put(api, NEW | {"timeout_seconds": 7}).status_code == 200  # left out, it stays disabled
    assert not load(endpoint_id).is_enabled
    assert put(api, wanted | {"held": held}).status_code == 200
    assert load(endpoint_id).is_enabled
    assert states() == [DeliveryState(state)] * 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "endpoints"),
        ({"endpoints": [NEW]}, "endpoints[0].name"),
        ({"endpoints": [NEW | {"name": "A", "ulr": "x"}]}, "endpoints[0].ulr"),
        ({"endpoints": [NEW | {"name": "A", "timeout_seconds": 31}]}, "endpoints[0].timeout_seconds"),
        ({"endpoints": [NEW | {"name": str(n)} for n in range(101)]}, "endpoints"),
    ],
)
def test_a_plan_of_another_form_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    assert api.refusal("POST", "/endpoints/plan", body)[::2] == (422, field)


def test_a_listener_of_that_name_is_not_compared_with(api: Api) -> None:
    wanted = {"name": "billing", "forward_to": "http://localhost:3000"}
    assert api.call("POST", "/listeners", wanted).status_code == 201
    db.session.rollback()
    name = db.session.scalars(select(Endpoint.name)).one()
    assert plan(api, NEW | {"name": name})[0]["action"] == "create"
