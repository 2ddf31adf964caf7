"""The one shape of an error, whatever goes wrong."""

import sqlite3
import time
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.test import TestResponse

from tests.conftest import Workspace
from tests.patience import PATIENT_LIMITS
from tests.raising import raising
from tests.reading import json_of
from tests.web.api.conftest import Api
from tests.web.api.events import EVENT, count
from webhooks_app.db.engines import WriteDatabase
from webhooks_app.db.models import Event
from webhooks_app.extensions import db


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", path, 404) for path in ("/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v2/events")),
        *((method, "/api/v1/events/", 404) for method in ("GET", "POST", "PUT")),
        ("POST", "/api/v1/events/batch/", 404),
        *((method, "/api/v1/events", 405) for method in ("GET", "PUT", "PATCH", "DELETE")),
        ("POST", "/api/v1/event-types", 405),
    ],
)
def test_errors_of_the_framework_have_the_same_shape(
    client: FlaskClient, workspace: Workspace, method: str, path: str, status: int
) -> None:
    for headers in (workspace.headers, {}):
        response = client.open(path, method=method, headers=headers)
        assert response.status_code == status
        assert set(json_of(response)["error"]) == {"code", "message", "field"}
        assert ("Allow" in response.headers) == (status == 405)


def test_a_wrong_method_is_told_the_right_ones(client: FlaskClient, workspace: Workspace) -> None:
    wrong = client.get("/api/v1/events", headers=workspace.headers)
    assert set(wrong.allow) == {"POST", "OPTIONS"}
    assert set(client.post("/api/v1/event-types").allow) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("GET", "/api/v1/events/", "leave out the slash"),
        ("GET", "/api/v1/nothing/", "openapi.json says what there is"),
        ("GET", "/api/v1/nothing", "There is no /api/v1/nothing"),
        ("PUT", "/api/v1/events", "There is no PUT here; there is POST."),
    ],
)
def test_a_wrong_address_or_method_is_told_what_is_right(
    client: FlaskClient, method: str, path: str, says: str
) -> None:
    assert says in json_of(client.open(path, method=method))["error"]["message"]


def test_what_is_none_of_several_values_is_told_them(api: Api) -> None:
    def said(answer: TestResponse) -> tuple[str, str]:
        error = json_of(answer)["error"]
        return error["field"], error["message"]

    endpoint = json_of(api.call("POST", "/endpoints", {"url": "https://a.example.com/", "all_events": True}))
    path = f"/endpoints/{endpoint['id']}"
    rotated = api.call("POST", f"{path}/secrets", {"overlap": "2h"})
    assert said(rotated) == ("overlap", "It is none of now, 1h, 24h, 7d.")
    put = {"url": "https://a.example.com/", "all_events": True, "held": "keep"}
    assert said(api.call("PUT", "/endpoints/by-name/A", put)) == ("held", "It is none of send, discard.")
    assert said(api.get("/endpoints?state=odd")) == ("state", "It is none of enabled, disabled.")
    field, message = said(api.get("/deliveries?status=odd"))
    assert field == "status" and "undelivered" in message


@pytest.mark.parametrize(
    ("accept", "is_problem"),
    [
        ("application/problem+json", True),
        ("application/problem+json, application/json;q=0.9", True),
        ("application/json, application/problem+json;q=0.9", False),
        ("application/json", False),
        ("*/*", False),
        ("text/html", False),
        ("nonsense", False),
    ],
)
def test_who_asks_for_problem_details_gets_them(
    client: FlaskClient, workspace: Workspace, accept: str, is_problem: bool
) -> None:
    headers = workspace.headers | {"Accept": accept}
    answers = [
        client.post("/api/v1/events", json=EVENT | {"type": "nope"}, headers=headers),
        client.get("/api/v1/nothing", headers=headers),
    ]
    for answer, status in zip(answers, (422, 404), strict=True):
        assert answer.status_code == status
        assert "Accept" in answer.vary
        if not is_problem:
            assert answer.mimetype == "application/json"
            assert set(json_of(answer)["error"]) == {"code", "message", "field"}
            continue
        problem = json_of(answer)
        assert answer.mimetype == "application/problem+json"
        assert (problem["type"], problem["status"]) == ("about:blank", status)
        assert problem["title"] and problem["detail"] and problem["code"]
    if is_problem:
        assert json_of(answers[0])["field"] == "type"


def test_answers_carry_nothing_that_is_for_the_console(client: FlaskClient, workspace: Workspace) -> None:
    answers = [
        client.get("/api/v1/event-types", headers=workspace.headers),
        client.post("/api/v1/events", json=EVENT, headers=workspace.headers),
        client.get("/api/v1/nothing"),
        client.get("/api/v1/event-types"),
    ]
    for answer in answers:
        assert not {"HX-Request", "HX-Request-Type", "Cookie"} & set(answer.vary)
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not {"Referrer-Policy", "Cross-Origin-Opener-Policy"} & set(answer.headers.keys())
    assert [answer.headers["Cache-Control"] for answer in answers[1:]] == ["no-store"] * 3


_LOCKING = {
    "sqlite": "UPDATE workspaces SET name = name",
    "postgresql": "LOCK TABLE events IN ACCESS EXCLUSIVE MODE",
}


@pytest.mark.parametrize("database_limits", [replace(PATIENT_LIMITS, lock_seconds=0.3)], indirect=True)
def test_a_locked_database_gives_503_in_time_and_nothing_is_accepted(
    client: FlaskClient, workspace: Workspace, database: WriteDatabase
) -> None:
    with database.begin() as blocker:
        if database.dialect.name == "postgresql":  # ends a wait that nothing else would end
            blocker.execute(text("SET LOCAL idle_in_transaction_session_timeout = '60s'"))
        blocker.execute(text(_LOCKING[database.dialect.name]))
        began = time.monotonic()
        blocked = client.post("/api/v1/events", json=EVENT, headers=workspace.headers)
        seconds = time.monotonic() - began
    assert blocked.status_code == 503
    assert blocked.headers["Retry-After"] == "1"
    assert 0.3 <= seconds < 30
    assert count(Event) == 0
    workspace.send()
    assert count(Event) == 1


# SQLite's connections are files, of which each thread has its own.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("database_limits", [replace(PATIENT_LIMITS, pool_seconds=0.2)], indirect=True)
def test_no_connection_left_gives_503_in_time(client: FlaskClient, workspace: Workspace) -> None:
    with ExitStack() as held:
        with suppress(PoolTimeout):
            while True:
                held.enter_context(db.engine.connect())
        blocked = client.post("/api/v1/events", json=EVENT, headers=workspace.headers)
    assert (blocked.status_code, json_of(blocked)["error"]["code"]) == (503, "unavailable")
    workspace.send()
    assert count(Event) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("sqlstate", "cause"),
    [
        ("25006", "read_only"),
        ("40001", "serialization"),
        ("40P01", "deadlock"),
        ("53100", "disk_full"),
        ("53200", "out_of_memory"),
        ("53300", "too_many_connections"),
        ("57014", "timeout"),
        ("57P01", "shutdown"),
        ("58030", "io_error"),
    ],
)
def test_whatever_passes_is_a_503_and_one_line_of_the_log(
    client: FlaskClient,
    workspace: Workspace,
    database: WriteDatabase,
    caplog: pytest.LogCaptureFixture,
    sqlstate: str,
    cause: str,
) -> None:
    with raising(database, "events", sqlstate):
        answer = client.post("/api/v1/events", json=EVENT, headers=workspace.headers)

    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert json_of(answer)["error"]["code"] == "unavailable"
    [record] = caplog.records
    assert (record.message, record.__dict__["cause"], record.__dict__["code"]) == (
        "database_unavailable",
        cause,
        sqlstate,
    )
    workspace.send()
    assert count(Event) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("pragma", "cause"), [("query_only = ON", "read_only"), ("max_page_count = 1", "disk_full")]
)
def test_a_file_that_takes_no_more_is_a_503(
    client: FlaskClient,
    workspace: Workspace,
    caplog: pytest.LogCaptureFixture,
    pragma: str,
    cause: str,
) -> None:
    def restrict(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    many = {"events": [EVENT] * 1000}  # what needs new pages of the file
    event.listen(db.engine, "checkout", restrict)
    answer = client.post("/api/v1/events/batch", json=many, headers=workspace.headers)
    event.remove(db.engine, "checkout", restrict)

    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert [record.__dict__["cause"] for record in caplog.records] == [cause]
    db.engine.dispose()
    assert count(Event) == 0
    workspace.send()
