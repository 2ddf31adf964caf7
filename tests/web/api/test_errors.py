"""The one shape of an error, whatever goes wrong."""

import sqlite3
import time
from contextlib import ExitStack, suppress

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.conftest import Workspace
from tests.raising import raising
from tests.reading import json_of
from tests.web.api.events import EVENT, count
from webhooks_app.db.database_limits import DatabaseLimits
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


_LOCKING = {
    "sqlite": "UPDATE workspaces SET name = name",
    "postgresql": "LOCK TABLE events IN ACCESS EXCLUSIVE MODE",
}


@pytest.mark.parametrize("database_limits", [DatabaseLimits(lock_seconds=0.3)], indirect=True)
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


@pytest.mark.parametrize("database_limits", [DatabaseLimits(pool_seconds=0.2)], indirect=True)
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
