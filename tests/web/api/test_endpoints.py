"""Endpoints over the API, on both databases."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import Workspace
from tests.reading import json_of
from tests.web.api.conftest import Api, new_api
from tests.web.endpoints import audited_actions, load
from webhooks_app.accounts.token_scopes import TokenScope
from webhooks_app.db.models import AuditEntry
from webhooks_app.endpoints import custom_headers
from webhooks_app.extensions import db, services

URL = "https://hooks.example.com/avra"
NEW: dict[str, Any] = {"url": URL, "event_types": ["batch-lifecycle"]}


def test_an_endpoint_is_added_read_changed_and_deleted(api: Api, workspace: Workspace) -> None:
    wanted = NEW | {
        "name": "Billing",
        "timeout_seconds": 9,
        "rate_per_second": 20,
        "headers": [{"name": "X-Tenant", "value": "s3cret"}],
    }
    created = api.call("POST", "/endpoints", wanted)
    assert created.status_code == 201, created.text
    assert created.headers["Cache-Control"] == "no-store"
    body = json_of(created)
    assert body.pop("secret").startswith("whsec_")
    assert body["headers"] == [{"name": "X-Tenant", "value": None}]
    assert {name: body[name] for name in wanted if name != "headers"} == {
        name: value for name, value in wanted.items() if name != "headers"
    }
    assert created.headers["Location"] == f"/api/v1/endpoints/{body['id']}"

    read = api.get(f"/endpoints/{body['id']}")
    assert json_of(read) == body
    assert read.headers["ETag"] == created.headers["ETag"]
    assert custom_headers.decrypt(services().cipher, load(body["id"])) == [("X-Tenant", "s3cret")]

    changed = json_of(api.call("PATCH", f"/endpoints/{body['id']}", {"rate_per_second": None}))
    assert changed | {"updated_at": 0} == body | {"rate_per_second": None, "updated_at": 0}
    assert custom_headers.decrypt(services().cipher, load(body["id"])) == [("X-Tenant", "s3cret")]

    deleted = api.call("DELETE", f"/endpoints/{body['id']}")
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert api.refusal("GET", f"/endpoints/{body['id']}") == (404, "not_found", None)
    assert audited_actions()[-4:] == [
        "endpoint.create",
        "secret.reveal",
        "endpoint.change",
        "endpoint.delete",
    ]


def test_the_audit_log_names_the_token(api: Api) -> None:
    api.call("POST", "/endpoints", NEW)
    db.session.rollback()
    entry = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "endpoint.create")).one()
    assert entry.actor.startswith("API token “robot” (tok_")
    assert entry.address == "127.0.0.1"
    assert json.loads(entry.details) == {"url": URL}


def test_what_is_left_out_is_as_in_the_console(api: Api, workspace: Workspace) -> None:
    body = json_of(api.call("POST", "/endpoints", {"url": "https://Hooks.Example.com", "all_events": True}))
    assert (body["name"], body["url"]) == ("hooks.example.com", "https://hooks.example.com/")
    assert (body["timeout_seconds"], body["rate_per_second"], body["headers"]) == (5, None, [])
    assert (body["state"], body["all_events"], body["event_types"]) == ("enabled", True, [])


_BAD: list[tuple[dict[str, Any], str]] = [
    ({"url": "http://169.254.169.254/"}, "url"),
    ({"url": "ftp://example.com/"}, "url"),
    ({"url": ""}, "url"),
    ({"url": 5}, "url"),
    ({"url": None}, "url"),
    ({"name": "a\u200bb"}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"event_types": []}, "event_types"),
    ({"event_types": ["batch-lifecycle", "nope"]}, "event_types[1]"),
    ({"event_types": "batch-lifecycle"}, "event_types"),
    ({"all_events": True}, "event_types"),
    ({"all_events": "yes"}, "all_events"),
    ({"timeout_seconds": 31}, "timeout_seconds"),
    ({"timeout_seconds": 0}, "timeout_seconds"),
    ({"timeout_seconds": 2.5}, "timeout_seconds"),
    ({"rate_per_second": 10_001}, "rate_per_second"),
    ({"headers": [{"name": "X-A", "value": "1"}, {"name": "host", "value": "x"}]}, "headers[1]"),
    ({"headers": [{"name": "X-A"}]}, "headers[0].value"),
    ({"headers": [{"value": "1"}]}, "headers[0].name"),
    ({"headers": [{"name": "X-A", "value": "1", "more": 1}]}, "headers[0].more"),
    ({"headers": [{"name": "X-A", "value": "1"}, {"name": "x_a", "value": "1"}]}, "headers"),
    ({"headers": [{"name": f"X-{n}", "value": "1"} for n in range(21)]}, "headers"),
    ({"secret": "whsec_mine"}, "secret"),
]


# What is refused before any database is asked needs no second one.
_ON_ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@_ON_ONE_DATABASE
@pytest.mark.parametrize(("wrong", "field"), _BAD, ids=str)
def test_bad_input_is_refused_at_its_field(api: Api, wrong: dict[str, Any], field: str) -> None:
    status, code, found = api.refusal("POST", "/endpoints", NEW | wrong)
    assert (status, found) == (422, field)
    assert code in ("invalid", "unknown_field", "unknown_event_type")
    assert api.read("/endpoints")["data"] == []
    if "name" not in wrong:
        assert api.refusal("PUT", "/endpoints/by-name/Billing", NEW | wrong)[::2] == (422, field)


@_ON_ONE_DATABASE
@pytest.mark.parametrize(
    ("wrong", "field"), [each for each in _BAD if each[0] != {"all_events": True}], ids=str
)
def test_a_bad_change_is_refused_at_its_field(api: Api, wrong: dict[str, Any], field: str) -> None:
    created = json_of(api.call("POST", "/endpoints", NEW))
    assert api.refusal("PATCH", f"/endpoints/{created['id']}", wrong)[::2] == (422, field)
    assert api.read(f"/endpoints/{created['id']}")["updated_at"] == created["updated_at"]


def test_choosing_types_ends_all_events_and_the_other_way_round(api: Api) -> None:
    path = f"/endpoints/{json_of(api.call('POST', '/endpoints', NEW))['id']}"
    everything = json_of(api.call("PATCH", path, {"all_events": True}))
    assert (everything["all_events"], everything["event_types"]) == (True, [])
    assert api.refusal("PATCH", path, {"all_events": False}) == (422, "invalid", "event_types")
    chosen = json_of(api.call("PATCH", path, {"event_types": ["batch-request", "batch-request"]}))
    assert (chosen["all_events"], chosen["event_types"]) == (False, ["batch-request"])


def test_a_header_keeps_its_value_on_the_same_server_only(api: Api) -> None:
    header = {"name": "X-Tenant", "value": "s3cret"}
    created = json_of(api.call("POST", "/endpoints", NEW | {"headers": [header]}))
    path = f"/endpoints/{created['id']}"
    kept = {"url": URL + "/other", "headers": created["headers"]}
    assert api.call("PATCH", path, kept).status_code == 200
    assert custom_headers.decrypt(services().cipher, load(created["id"])) == [("X-Tenant", "s3cret")]
    elsewhere = {"url": "https://evil.example.com/"}
    assert api.refusal("PATCH", path, elsewhere) == (422, "invalid", "headers[0].value")
    assert api.call("PATCH", path, elsewhere | {"headers": []}).status_code == 200


def test_only_who_may_change_it_reads_what_a_url_holds(api: Api, workspace: Workspace) -> None:
    created = json_of(api.call("POST", "/endpoints", NEW | {"url": URL + "?key=s3cret"}))
    path = f"/endpoints/{created['id']}"
    reader = new_api(workspace, TokenScope.ENDPOINTS_READ)
    assert api.read(path)["url"] == URL + "?key=s3cret"
    assert "s3cret" not in reader.get(path).text + reader.get("/endpoints").text
    assert reader.get(path).headers["ETag"] != api.get(path).headers["ETag"]


def test_a_change_upon_what_somebody_else_changed_is_412(api: Api) -> None:
    created = api.call("POST", "/endpoints", NEW)
    path, etag = f"/endpoints/{json_of(created)['id']}", created.headers["ETag"]
    first = api.call("PATCH", path, {"name": "First"}, {"If-Match": etag})
    assert first.status_code == 200
    assert first.headers["ETag"] != etag
    for method, suffix, body in (
        ("PATCH", "", {"name": "Second"}),
        ("DELETE", "", None),
        ("POST", "/disable", None),
        ("POST", "/secrets", {}),
    ):
        refused = api.call(method, path + suffix, body, {"If-Match": etag})
        assert (refused.status_code, json_of(refused)["error"]["code"]) == (412, "changed_meanwhile")
    assert api.read(path)["name"] == "First"
    for given in ("{}", "*", '"other", {}'):
        now = api.get(path).headers["ETag"]
        again = api.call("PATCH", path, {"name": "Second"}, {"If-Match": given.format(now)})
        assert again.status_code == 200


def test_the_etag_of_a_compressed_answer_names_the_same_configuration(api: Api) -> None:
    wanted = NEW | {"url": f"{URL}/{'x' * 1500}"}
    path = f"/endpoints/{json_of(api.call('POST', '/endpoints', wanted))['id']}"
    headers = {"Authorization": f"Bearer {api.token}", "Accept-Encoding": "gzip"}
    read = FlaskClient(api.app, api.app.response_class).get(f"/api/v1{path}", headers=headers)
    assert read.headers["Content-Encoding"] == "gzip"
    seen = {"If-Match": read.headers["ETag"]}
    assert api.call("PATCH", path, {"name": "First"}, seen).status_code == 200
    assert api.call("PATCH", path, {"name": "Second"}, seen).status_code == 412


def test_who_has_the_endpoint_already_is_not_sent_it_again(api: Api) -> None:
    created = api.call("POST", "/endpoints", NEW)
    path, etag = f"/endpoints/{json_of(created)['id']}", created.headers["ETag"]
    unchanged = api.call("GET", path, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    api.call("PATCH", path, {"name": "Other"})
    assert api.call("GET", path, headers={"If-None-Match": etag}).status_code == 200


def test_the_list_has_pages_and_filters(api: Api, stranger: Api) -> None:
    made = [
        json_of(api.call("POST", "/endpoints", NEW | {"name": f"E{number}"}))["id"] for number in range(5)
    ]
    api.call("PATCH", f"/endpoints/{made[0]}", {"all_events": True})
    api.call("PATCH", f"/endpoints/{made[1]}", {"event_types": ["batch-request"]})
    api.call("POST", f"/endpoints/{made[2]}/disable")

    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = api.read(f"/endpoints?limit=2&cursor={cursor}")
        found += [each["id"] for each in page["data"]]
        cursor, pages = page["next"], pages + 1
    assert (found, pages) == (made[::-1], 3)

    def ids(query: str) -> list[str]:
        return sorted(each["id"] for each in api.read(f"/endpoints?{query}")["data"])

    assert ids("name=E3") == [made[3]]
    assert ids("state=disabled") == [made[2]]
    assert ids("event_type=batch-request") == made[:2]
    assert ids("limit=5") == made
    assert stranger.read("/endpoints") == {"data": [], "next": None}


@_ON_ONE_DATABASE
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1e9", "limit"),
        ("limit=101", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=ep_", "cursor"),
        ("cursor=dlv_06h1bup04keinukl2ur6l4cu6o", "cursor"),
        ("state=broken", "state"),
        ("status_is=enabled", "status_is"),
    ],
)
def test_a_bad_argument_is_refused(api: Api, query: str, field: str) -> None:
    status, code, found = api.refusal("GET", f"/endpoints?{query}")
    assert (status, found) == (400, field)
    assert code in ("invalid_parameter", "unknown_parameter")


def test_an_endpoint_is_put_by_its_name_as_often_as_one_likes(api: Api, stranger: Api) -> None:
    path = "/endpoints/by-name/Billing / EU"
    assert api.refusal("GET", path) == (404, "not_found", None)
    wanted = NEW | {"headers": [{"name": "X-Tenant", "value": "s3cret"}]}
    first = api.call("PUT", path, wanted)
    assert (first.status_code, json_of(first)["name"]) == (201, "Billing / EU")
    recorded = audited_actions()

    again = api.call("PUT", path, wanted)
    assert (again.status_code, again.headers["ETag"]) == (200, first.headers["ETag"])
    assert "secret" not in json_of(again)
    kept = api.call("PUT", path, NEW | {"headers": [{"name": "X-Tenant", "value": None}]})
    assert kept.headers["ETag"] == first.headers["ETag"]
    assert audited_actions() == recorded

    changed = api.call("PUT", path, wanted | {"timeout_seconds": 7})
    assert (changed.status_code, json_of(changed)["timeout_seconds"]) == (200, 7)
    assert audited_actions() == [*recorded, "endpoint.change"]
    assert api.read(path) == json_of(changed)
    assert len(api.read("/endpoints")["data"]) == 1
    assert stranger.refusal("GET", path) == (404, "not_found", None)

    for etag, status in ((first.headers["ETag"], 412), (changed.headers["ETag"], 200)):
        answer = api.call("PUT", path, wanted, {"If-Match": etag})
        assert answer.status_code == status


def test_what_manages_an_endpoint_stays_where_it_is_left_out(api: Api) -> None:
    path = "/endpoints/by-name/Billing"
    assert json_of(api.call("PUT", path, NEW | {"managed_by": " a.yaml "}))["managed_by"] == "a.yaml"
    assert json_of(api.call("PUT", path, NEW | {"timeout_seconds": 9}))["managed_by"] == "a.yaml"
    before = api.get(path).headers["ETag"]
    endpoint = json_of(api.call("PUT", path, NEW | {"timeout_seconds": 9, "managed_by": None}))
    assert endpoint["managed_by"] is None
    assert api.get(path).headers["ETag"] != before

    path = f"/endpoints/{endpoint['id']}"
    assert json_of(api.call("PATCH", path, {"managed_by": "b.yaml"}))["managed_by"] == "b.yaml"
    assert json_of(api.call("PATCH", path, {"rate_per_second": 3}))["managed_by"] == "b.yaml"
    assert api.refusal("PATCH", path, {"managed_by": "\u200b"}) == (422, "invalid", "managed_by")
    assert json_of(api.call("PATCH", path, {"managed_by": None}))["managed_by"] is None


def test_a_name_that_several_have_is_a_conflict(api: Api) -> None:
    for _ in range(2):
        api.call("POST", "/endpoints", NEW | {"name": "Twin"})
    assert api.refusal("PUT", "/endpoints/by-name/Twin", NEW) == (409, "ambiguous_name", "name")
    assert api.refusal("GET", "/endpoints/by-name/Twin") == (409, "ambiguous_name", "name")


def test_a_name_that_cannot_be_one_is_refused(api: Api) -> None:
    assert api.refusal("PUT", f"/endpoints/by-name/{'x' * 101}", NEW) == (422, "invalid", "name")


@pytest.mark.parametrize("name", ["/Billing", "a//b", "EU/", "Größe 100 %", "test"])
def test_a_name_may_hold_slashes_anywhere_and_any_script(api: Api, name: str) -> None:
    path = f"/endpoints/by-name/{quote(name, safe='/')}"
    assert json_of(api.call("PUT", path, NEW))["name"] == name
    assert api.read(path)["name"] == name
