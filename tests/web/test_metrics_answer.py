"""`/metrics`: who is given it, what is in it, and that the deployment's files ask for what is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Workspace, unavailable
from tests.receivers import Receiver
from webhooks_app.app import create_app
from webhooks_app.extensions import services
from webhooks_app.monitoring import backlog
from webhooks_app.monitoring.metrics import COUNTERS, GAUGES, HISTOGRAMS, PREFIX
from webhooks_app.monitoring.problem_codes import ProblemCode
from webhooks_app.monitoring.reporter import Reporter
from webhooks_app.worker.engine import DeliveryEngine

ROOT = Path(__file__).resolve().parent.parent.parent
ALERTS, DASHBOARD = ROOT / "deploy/prometheus/alerts.yml", ROOT / "deploy/grafana/dashboard.json"
TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAMES = {f"{PREFIX}{name}_total" for name in COUNTERS} | {PREFIX + name for name in GAUGES}
NAMES |= {f"{PREFIX}{name}_seconds_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    services(app).settings = replace(services(app).settings, metrics_token=TOKEN)
    return app.test_client()


def values(client: FlaskClient) -> dict[str, float]:
    """Each metric with its labels, as Prometheus would write it."""
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_without_a_token_of_its_own_there_are_no_metrics(app: Flask) -> None:
    assert app.test_client().get("/metrics", headers=BEARER).status_code == 404


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_metrics_are_for_those_who_have_the_token(client: FlaskClient, header: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": header} if header else {})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert PREFIX not in answer.text


def test_what_was_accepted_refused_and_attempted_is_counted(
    client: FlaskClient, workspace: Workspace, receiver: Receiver, engine: DeliveryEngine
) -> None:
    workspace.endpoint(receiver.url)
    event = {"type": "batch-request", "data": {"batch_id": "b1"}}
    keyed = workspace.headers | {"Idempotency-Key": "one"}
    for _ in range(2):
        assert client.post("/api/v1/events", json=event, headers=keyed).status_code in (202, 422)
    workspace.send(3)
    client.post("/api/v1/events", json={"type": "no-such"}, headers=workspace.headers)
    engine.run(seconds=30)
    found = services()
    Reporter(found.databases, "web", found.counters).report()

    known = values(client)

    assert known["avra_events_total accepted batch-lifecycle"] == 3
    assert known["avra_events_refused_total unknown_event_type"] == 1
    assert known["avra_deliveries_created_total"] == len(receiver.received) >= 3
    assert known["avra_attempts_total success"] == len(receiver.received)
    assert known["avra_delivery_results_total delivered"] == len(receiver.received)
    for histogram in ("accept_duration", "first_attempt_delay", "attempt_duration"):
        assert known[f"avra_{histogram}_seconds_count"] >= 3
        assert known[f"avra_{histogram}_seconds_bucket +Inf"] == known[f"avra_{histogram}_seconds_count"]


def test_a_repeat_under_its_key_is_not_counted_as_accepted(client: FlaskClient, workspace: Workspace) -> None:
    event = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
    for _ in range(3):
        keyed = workspace.headers | {"Idempotency-Key": "one"}
        assert client.post("/api/v1/events", json=event, headers=keyed).status_code == 202

    counted = services().counters.snapshot()

    assert counted["events\tbatch-lifecycle\taccepted"] == 1
    assert counted["events\tbatch-lifecycle\trepeated"] == 2


def test_what_waits_and_who_works_is_told(client: FlaskClient, workspace: Workspace) -> None:
    workspace.endpoint("http://127.0.0.1:9/")
    workspace.send(3)
    found = services()
    Reporter(
        found.databases, "worker", found.counters, describe=lambda: {"in_flight": 2, "capacity": 9}
    ).report()
    assert backlog.sample_if_due(found.databases)

    known = values(client)

    assert (known["avra_pending_deliveries"], known["avra_due_deliveries"]) == (3, 3)
    assert known["avra_processes worker"] == 1
    assert known["avra_database_up"] == 1
    assert [value for name, value in known.items() if name.startswith("avra_worker_in_flight ")] == [2]
    assert 0 <= known["avra_backlog_sample_age_seconds"] < 30


def test_a_problem_is_a_metric(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    found = services()
    found.wake_ups = type(found.wake_ups)("unix:///nowhere")

    assert values(client)["avra_problem redis failing"] == 1


def test_without_a_database_the_process_tells_what_it_has_counted_itself(app: Flask) -> None:
    settings = replace(
        services(app).settings, database_url="sqlite:////nowhere/at/all.db", metrics_token=TOKEN
    )
    broken = create_app(settings)
    client = broken.test_client()
    assert client.get("/healthz/web").status_code == 503
    assert client.post("/api/v1/events", headers=BEARER, json={}).status_code == 503

    known = values(client)

    assert known["avra_database_up"] == 0
    assert known["avra_unavailable_total connection"] == 1


def test_a_metric_is_given_as_it_is_described(client: FlaskClient) -> None:
    answer = client.get("/metrics", headers=BEARER)
    families = {family.name for family in text_string_to_metric_families(answer.text)}

    described = {PREFIX + name for name in (*COUNTERS, *GAUGES)}
    assert families == described | {f"{PREFIX}{name}_seconds" for name in HISTOGRAMS}
    assert answer.headers["Content-Type"].startswith("text/plain; version=")


@pytest.fixture(scope="module")
def promtool() -> str:
    return shutil.which("promtool") or unavailable("promtool", "apt install prometheus.")


def test_prometheus_takes_the_metrics(client: FlaskClient, workspace: Workspace, promtool: str) -> None:
    workspace.send()
    body = client.get("/metrics", headers=BEARER).data
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    "arguments",
    [["check", "rules", str(ALERTS)], ["test", "rules", str(ALERTS.with_name("alerts_test.yml"))]],
)
def test_prometheus_takes_the_alerts(arguments: list[str], promtool: str) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, cwd=ALERTS.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def expressions(tree: object) -> Iterator[str]:
    """Every query of a dashboard."""
    if isinstance(tree, dict):
        yield from (value for key, value in tree.items() if key == "expr" and isinstance(value, str))
        for value in tree.values():
            yield from expressions(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from expressions(value)


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def rules() -> list[str]:
    """The expression of every alert."""
    return [each["expr"] for each in alerts()]


def asked_for(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}\w+", text))


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_exist() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = list(expressions(dashboard))
    assert len(queries) > 15
    assert asked_for("\n".join(queries)) <= NAMES
    assert asked_for("\n".join(rules()))
    assert asked_for("\n".join(rules())) <= NAMES


def test_figures_that_each_of_several_webs_gives_are_added_up_once() -> None:
    queries = [*expressions(json.loads(DASHBOARD.read_text())), *rules()]
    once = re.compile(r"sum(?: by \([\w, ]+\))? ?\(max by ")
    for query in queries:
        assert "sum" not in once.sub("", query)


def test_every_panel_of_the_dashboard_asks_for_something_and_fits() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [each for each in dashboard["panels"] if each["type"] != "row"]
    assert len({each["id"] for each in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert list(expressions(panel)), panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_the_operators_document_explains_each_metric_problem_and_alert() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    explained = set(re.findall(r"`(avra_\w+)`", text))
    names = {f"{PREFIX}{name}_total" for name in COUNTERS} | {PREFIX + name for name in GAUGES}
    assert explained >= names | {f"{PREFIX}{name}_seconds" for name in HISTOGRAMS}
    assert set(re.findall(r"^### `(\w+)`", text, re.MULTILINE)) == {code.value for code in ProblemCode}
    _, _, what_to_do = text.partition("\n## Alerts\n")
    assert {each["alert"] for each in alerts()} == set(re.findall(r"`(Avra\w+)`", what_to_do))


def test_each_alert_leads_to_a_section_that_says_what_to_do() -> None:
    codes = {code.value for code in ProblemCode}
    headings = re.findall(r"^##+ `?(\w+)`?$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    for alert in alerts():
        page, _, section = alert["annotations"]["runbook"].partition("#")
        assert page == "docs/operations.md"
        sections = codes if section == "{{ $labels.code }}" else {section}
        assert sections <= {each.lower() for each in headings}, alert["alert"]
        assert alert["labels"]["severity"] in ("page", "ticket")
