"""Recoveries over the API, on both databases."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import select

from tests.conftest import Workspace
from tests.deliveries.conftest import fail_all
from tests.reading import json_of
from tests.web.api.conftest import Api
from tests.web.endpoints import audited_actions
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import AuditEntry
from webhooks_app.deliveries import recovery_runs
from webhooks_app.extensions import db, services


@pytest.fixture
def endpoint_id(workspace: Workspace, database: WriteDatabase) -> str:
    found = workspace.endpoint("https://a.example.com/")
    workspace.send(4)
    fail_all(database)
    return found


def test_a_recovery_is_counted_started_watched_and_listed(
    api: Api, stranger: Api, endpoint_id: str, databases: Databases
) -> None:
    wanted = {"endpoint": endpoint_id, "range": "1h"}
    assert json_of(api.call("POST", "/recoveries/count", wanted)) == {"count": 4, "is_all": True}
    assert "recovery.start" not in audited_actions()

    started = api.call("POST", "/recoveries", wanted)
    recovery = json_of(started)
    assert (started.status_code, recovery["state"], recovery["total"]) == (202, "running", 4)
    assert recovery["started_by"].startswith("API token “robot”")
    assert recovery["filter"]["endpoint"] == endpoint_id
    assert api.refusal("POST", "/recoveries", wanted) == (409, "already_running", None)

    untouched = {"delivered": 0, "pending": 0, "retrying": 0, "failed": 0, "canceled": 0, "held": 0}
    assert api.read(f"/recoveries/{recovery['id']}") == recovery | {"outcomes": untouched}
    assert api.read("/recoveries") == {"data": [recovery], "next": None}
    assert stranger.read("/recoveries")["data"] == []
    assert stranger.refusal("GET", f"/recoveries/{recovery['id']}") == (404, "not_found", None)
    recovery_runs.run_all(databases, services().wake_ups)
    done = api.read(f"/recoveries/{recovery['id']}")
    assert (done["state"], done["handled"], done["outcomes"]["retrying"]) == ("done", 4, 4)


def test_the_filters_moments_are_spelt_as_all_others(api: Api, endpoint_id: str) -> None:
    wanted = {"endpoint": endpoint_id, "status": "failed", "from": "2025-01-02T03:04"}
    recovery = json_of(api.call("POST", "/recoveries", wanted))
    until = recovery["filter"]["until"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", until)
    spelt = wanted | {"range": "custom", "from": "2025-01-02T03:04:00.000Z", "until": until}
    assert recovery["filter"] == spelt
    assert api.read("/recoveries")["data"][0]["filter"] == spelt

    started = select(AuditEntry.details).where(AuditEntry.action == "recovery.start")
    details = json.loads(db.session.scalars(started).one())
    assert {name: details[name] for name in spelt} == spelt


def test_everything_that_waits_is_sent_at_a_rate_or_canceled(
    api: Api, endpoint_id: str, workspace: Workspace, databases: Databases
) -> None:
    workspace.send(3)
    wanted = {"action": "cancel", "status": "pending"}
    assert json_of(api.call("POST", "/recoveries/count", wanted))["count"] == 3
    recovery = json_of(api.call("POST", "/recoveries", wanted | {"rate_per_second": 500}))
    assert (recovery["action"], recovery["rate_per_second"]) == ("cancel", 500)
    recovery_runs.run_all(databases, services().wake_ups)
    done = api.read(f"/recoveries/{recovery['id']}")
    assert (done["handled"], done["outcomes"]["canceled"]) == (3, 3)


def test_a_recovery_is_canceled_once(api: Api, endpoint_id: str) -> None:
    recovery = json_of(api.call("POST", "/recoveries", {}))
    path = f"/recoveries/{recovery['id']}/cancel"
    assert json_of(api.call("POST", path))["state"] == "canceled"
    assert api.refusal("POST", path) == (409, "finished", None)
    assert audited_actions()[-2:] == ["recovery.start", "recovery.cancel"]


def test_nothing_to_recover_is_a_conflict(api: Api) -> None:
    assert api.refusal("POST", "/recoveries", {}) == (409, "nothing_to_recover", None)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"status": "held"}, "status"),
        ({"status": "failed", "action": "send"}, "status"),
        ({"rate_per_second": 0}, "rate_per_second"),
        ({"action": "stop"}, "action"),
        ({"from": "yesterday"}, "from"),
        ({"since": "2026-01-01"}, "since"),
        ({"range": 1}, "range"),
        ({"q": "dlv_1"}, "q"),
    ],
)
def test_a_bad_filter_is_refused_at_its_field(
    api: Api, endpoint_id: str, wrong: dict[str, Any], field: str
) -> None:
    for path in ("/recoveries", "/recoveries/count"):
        assert api.refusal("POST", path, wrong)[::2] == (422, field)


def test_another_workspaces_endpoint_is_not_recovered(stranger: Api, endpoint_id: str) -> None:
    wanted = {"endpoint": endpoint_id}
    assert stranger.refusal("POST", "/recoveries", wanted) == (404, "not_found", None)
